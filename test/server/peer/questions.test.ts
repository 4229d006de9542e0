/** Questions between members, and of those who are none yet. */
import { describe, expect, it } from "vitest";
import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { strangerAsker } from "../../../src/server/peer/ask.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import { startTcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import { defaultDialer } from "../../../src/server/tls/open.js";
import { freePort } from "../../support/free-ports.js";
import { linkAll, startRoom, type TestRoom } from "./harness.js";

const patience = { timeout: 10_000, interval: 2 };
const renew: Question = { kind: { $case: "leaseRenew", value: { id: 7n } } };
const renewed: Answer = { kind: { $case: "leaseRenew", value: { ttlSeconds: 60n } } };
const view: Question = { kind: { $case: "clusterView", value: {} } };
const viewed: Answer = {
  kind: {
    $case: "clusterView",
    value: { clusterId: 0xc1n, members: [], clusterVersion: "3.7.0", serverVersion: "3.7.0", removed: [9n] },
  },
};
const askStranger = strangerAsker(defaultDialer(silentLogger));
const unreachable = { name: "WireError", code: 14, message: "peer unreachable" };

async function linked(from: TestRoom, to: TestRoom): Promise<void> {
  await expect.poll(() => from.room.connectedSinceMs(to.id), patience).toBeDefined();
}

describe("a question", () => {
  it("is answered, and the answer names who asked", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    linkAll([a, b]);
    await linked(a, b);
    b.ear.reply = () => Promise.resolve(renewed);
    expect(await a.room.ask(2n, renew, { timeoutMs: 1_000 })).toEqual(renewed);
    expect(b.ear.questions).toEqual([{ from: 1n, question: renew }]);
  });

  it("without an answer fails in time, and is asked once", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    linkAll([a, b]);
    await linked(a, b);
    b.ear.reply = () => new Promise(() => undefined);
    const startMs = performance.now();
    await expect(a.room.ask(2n, renew, { timeoutMs: 100 })).rejects.toMatchObject(unreachable);
    expect(performance.now() - startMs).toBeGreaterThan(90);
    expect(b.ear.questions).toHaveLength(1);
  });

  it("to a member that is gone fails at once", async () => {
    await using a = await startRoom(1n);
    a.room.setMembers([{ id: 2n, peerUrls: [`http://127.0.0.1:${await freePort()}`] }]);
    const startMs = performance.now();
    await expect(a.room.ask(2n, renew, { timeoutMs: 5_000 })).rejects.toMatchObject(unreachable);
    await expect(a.room.ask(3n, renew, { timeoutMs: 5_000 })).rejects.toMatchObject(unreachable);
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });

  it("whose connection breaks fails, and is not asked again", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    await using proxy = await startTcpProxy(b.url);
    a.room.setMembers([{ id: 2n, peerUrls: [proxy.endpoint] }]);
    b.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await linked(a, b);
    b.ear.reply = () => {
      proxy.cut();
      return Promise.resolve(renewed);
    };
    await expect(a.room.ask(2n, renew, { timeoutMs: 5_000 })).rejects.toMatchObject(unreachable);
    await linked(a, b);
    expect(b.ear.questions).toHaveLength(1);
  });

  it("of somebody who is no member here is not answered", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    const asked = (question: Question): Promise<unknown> =>
      a.room.ask(2n, question, { timeoutMs: 1_000 }).catch((error: unknown) => error);
    b.ear.reply = () => Promise.resolve(viewed);
    await expect.poll(() => asked(view), patience).toEqual(viewed);
    expect(await asked(renew)).toMatchObject({ cause: { details: "a stranger may only ask for the cluster view" } });
    expect(b.ear.questions.at(-1)).toEqual({ from: undefined, question: view });
  });
});

describe("a stranger", () => {
  it("is told what the cluster looks like", async () => {
    await using b = await startRoom(2n);
    b.ear.reply = () => Promise.resolve(viewed);
    expect(await askStranger(b.url, view, { timeoutMs: 1_000 })).toEqual(viewed);
    expect(b.ear.questions).toEqual([{ from: undefined, question: view }]);
  });

  it("is told nothing else", async () => {
    await using b = await startRoom(2n);
    await expect(askStranger(b.url, renew, { timeoutMs: 1_000 })).rejects.toMatchObject(unreachable);
    await expect(askStranger(b.url, { kind: undefined }, { timeoutMs: 1_000 })).rejects.toMatchObject(unreachable);
    expect(b.ear.questions).toEqual([]);
  });

  it("hears soon that nobody is there, and in time that nobody answers", async () => {
    const dead = `http://127.0.0.1:${await freePort()}`;
    await expect(askStranger(dead, view, { timeoutMs: 5_000 })).rejects.toMatchObject(unreachable);
    await using b = await startRoom(2n);
    await using proxy = await startTcpProxy(b.url);
    proxy.admit("silent");
    const startMs = performance.now();
    await expect(askStranger(proxy.endpoint, view, { timeoutMs: 200 })).rejects.toMatchObject(unreachable);
    expect(performance.now() - startMs).toBeLessThan(2_000);
    await expect(askStranger("nonsense", view, { timeoutMs: 200 })).rejects.toThrow("nonsense is no peer URL");
  });

  it("is told to come back while nobody listens", async () => {
    await using b = await startRoom(2n, { listener: undefined as never });
    await expect(askStranger(b.url, view, { timeoutMs: 1_000 })).rejects.toMatchObject({
      ...unreachable,
      cause: { details: "this member is not ready" },
    });
  });
});
