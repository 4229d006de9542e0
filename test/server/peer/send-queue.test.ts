/** The queue in front of a link, and the pulse that says whether it lives. */
import { describe, expect, it } from "vitest";
import { Pulse } from "../../../src/server/peer/pulse.js";
import { SendQueue } from "../../../src/server/peer/send-queue.js";
import { append, heartbeat } from "./harness.js";

describe("the send queue", () => {
  it("gives messages back in order, as many as fit", () => {
    const queue = new SendQueue({ messagesMax: 10, bytesMax: 10_000 });
    const messages = [1, 2, 3].map((index) => append(1n, 2n, { index, bytes: 1_000 }));
    for (const message of messages) expect(queue.push(message)).toBe("queued");
    expect(queue.take(2_500)).toEqual(messages.slice(0, 2));
    expect(queue.bytes).toBeGreaterThan(1_000);
    expect(queue.take(2_500)).toEqual(messages.slice(2));
    expect(queue.isEmpty).toBe(true);
    expect(queue.bytes).toBe(0);
  });

  it("drops what is too many", () => {
    const queue = new SendQueue({ messagesMax: 3, bytesMax: 10_000 });
    const results = [1, 2, 3, 4].map((round) => queue.push(heartbeat(1n, 2n, round)));
    expect(results).toEqual(["queued", "queued", "queued", "dropped"]);
    expect(queue.take(10_000)).toHaveLength(3);
  });

  it("drops what is too much, and still takes what fits", () => {
    const queue = new SendQueue({ messagesMax: 10, bytesMax: 3_000 });
    expect(queue.push(append(1n, 2n, { index: 1, bytes: 2_000 }))).toBe("queued");
    expect(queue.push(append(1n, 2n, { index: 2, bytes: 2_000 }))).toBe("dropped");
    expect(queue.push(append(1n, 2n, { index: 2, bytes: 500 }))).toBe("queued");
  });

  it("takes one message that is larger than itself, and gives it out whole", () => {
    const queue = new SendQueue({ messagesMax: 10, bytesMax: 3_000 });
    expect(queue.push(append(1n, 2n, { index: 1, bytes: 5_000 }))).toBe("queued");
    expect(queue.push(heartbeat(1n, 2n, 1))).toBe("dropped");
    expect(queue.take(100)).toHaveLength(1);
    expect(queue.push(heartbeat(1n, 2n, 1))).toBe("queued");
  });

  it("gives up everything at once", () => {
    const queue = new SendQueue({ messagesMax: 10, bytesMax: 3_000 });
    const messages = [append(1n, 2n, { index: 1, bytes: 2_000 }), heartbeat(1n, 2n, 1)];
    for (const message of messages) queue.push(message);
    expect(queue.drain()).toEqual(messages);
    expect(queue.drain()).toEqual([]);
    expect(queue.isEmpty).toBe(true);
    expect(queue.bytes).toBe(0);
  });
});

describe("a pulse", () => {
  it("counts from its first beat as long as it beats", () => {
    const pulse = new Pulse(100);
    expect(pulse.sinceMs(0)).toBeUndefined();
    pulse.beat(10);
    pulse.beat(110);
    pulse.beat(200);
    expect(pulse.sinceMs(300)).toBe(10);
  });

  it("begins anew after a silence, and after a stop", () => {
    const pulse = new Pulse(100);
    pulse.beat(10);
    expect(pulse.sinceMs(110)).toBe(10);
    expect(pulse.sinceMs(111)).toBeUndefined();
    pulse.beat(120);
    expect(pulse.sinceMs(130)).toBe(120);
    pulse.stop();
    expect(pulse.sinceMs(130)).toBeUndefined();
    pulse.beat(131);
    expect(pulse.sinceMs(131)).toBe(131);
  });
});
