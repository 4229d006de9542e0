/** A stream that has fallen silent: when it is dead, and when it only has nothing to say. */
import { afterEach, describe, expect, it } from "vitest";
import { ResponseHeader, WatchCreateRequest } from "../../proto/gen/etcd/rpc.js";
import type { Calls } from "../../src/client/calls/call.js";
import { createClient, type EtcdClient } from "../../src/client/index.js";
import { Carrier } from "../../src/client/watch/carrier.js";
import type { Rider } from "../../src/client/watch/rider.js";
import { watchTimings } from "../../src/client/watch/timings.js";
import { WatchTransport } from "../support/watch-transport.js";

const quick = { ...watchTimings, tickMs: 10, confirmMs: 200, mutedAskMs: 20, idleProgressMs: 20, staleMs: 150 };
const clients: EtcdClient[] = [];

/** A watcher that only takes notes. */
class Notes implements Rider {
  readonly said: string[] = [];
  readonly range = { key: new Uint8Array(), rangeEnd: new Uint8Array() };
  newest = 0n;
  start = 0n;
  wantsProgress = false;
  isCatchingUp = false;

  get serverMayBeSilent(): boolean {
    return this.newest < this.start;
  }

  begin(): WatchCreateRequest {
    return WatchCreateRequest.fromPartial({ startRevision: this.start });
  }

  confirmed(): void {
    this.said.push("confirmed");
  }

  receive(): void {
    this.said.push("received");
  }

  canceled(): void {
    this.said.push("canceled");
  }

  detached(): void {
    this.said.push("detached");
  }

  stale(): void {
    this.said.push("stale");
  }

  failed(): void {
    this.said.push("failed");
  }

  room(): undefined {
    return undefined;
  }

  heardOf(revision: bigint): void {
    if (revision > this.newest) this.newest = revision;
  }
}

function carried(timings = quick): { service: WatchTransport; carrier: Carrier; notes: Notes } {
  const service = new WatchTransport();
  const client = createClient({ endpoints: ["one:1", "two:2"], transport: service });
  clients.push(client);
  // The part of the client that makes calls is not for users.
  const { calls } = client as unknown as { calls: Calls };
  const now = () => Promise.resolve(ResponseHeader.fromPartial({ revision: service.revision }));
  const carrier = new Carrier({ calls, options: {}, kind: "shared", timings, now });
  const notes = new Notes();
  carrier.enter(notes);
  return { service, carrier, notes };
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

describe("a silent stream", () => {
  it("is opened elsewhere if the server answers neither progress requests nor anything else", async () => {
    const { service, carrier, notes } = carried();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    await expect.poll(() => service.streams.length, { timeout: 5_000 }).toBeGreaterThan(1);
    const [dead, next] = service.streams;
    expect(dead?.progressRequests).toBeGreaterThan(1);
    expect(dead?.cancelled).toBe(true);
    expect(next?.endpoint).not.toBe(dead?.endpoint);
    await expect.poll(() => notes.said.slice(0, 4)).toEqual(["confirmed", "stale", "detached", "confirmed"]);
    carrier.leave(notes);
  });

  it("stays as long as the server answers, and is asked again and again", async () => {
    const { service, carrier, notes } = carried();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    service.onProgress = (stream) => stream.send({ watchId: -1n });
    await expect.poll(() => service.streams[0]?.progressRequests, { timeout: 5_000 }).toBeGreaterThan(20);
    expect(service.streams).toHaveLength(1);
    expect(notes.said).not.toContain("stale");
    carrier.leave(notes);
  });

  it("is not asked while the store stands before the start of a watcher, and is asked once it has moved", async () => {
    const { service, carrier, notes } = carried();
    notes.start = 50n;
    service.onCreate = (stream, _, index) => stream.confirm(index);
    await expect.poll(() => notes.newest, { timeout: 5_000 }).toBe(10n);
    expect(service.streams[0]?.progressRequests).toBe(0);
    expect(notes.said).toEqual(["confirmed"]);
    service.revision = 60n;
    await expect.poll(() => service.streams[0]?.progressRequests, { timeout: 5_000 }).toBeGreaterThan(0);
    carrier.leave(notes);
  });

  it("is left for another endpoint if a create stays unanswered", async () => {
    const { service, carrier, notes } = carried();
    service.onCreate = (stream, _, index) => {
      if (stream !== service.streams[0]) stream.confirm(index);
    };
    await expect.poll(() => notes.said, { timeout: 5_000 }).toEqual(["detached", "confirmed"]);
    expect(service.streams[1]?.endpoint).not.toBe(service.streams[0]?.endpoint);
    carrier.leave(notes);
    await expect.poll(() => service.open).toEqual([]);
  });
});
