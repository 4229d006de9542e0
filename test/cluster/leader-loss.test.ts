/**
 * Conformance: what the survivor of three members answers while the other two are gone, and when. Default timers, since the
 * times are part of the contract. Source: spec/server.md 11.2 and 11.3, measured anew on the real etcd beside ours.
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { Code, status, type WireStatus } from "../../proto/status.js";
import { Cluster } from "../support/cluster.js";
import { type ClusterTarget, onClusterTargets } from "../support/cluster-targets.js";
import { type RawClient, rawClient } from "../support/raw-client.js";
import type { StreamEnd, StreamReader } from "../support/stream-reader.js";

const key = Buffer.from("k");
const leaseId = 77n;
const newcomer = "http://127.0.0.1:1";
const withLeader = { metadata: { hasleader: "true" } };

/** A call on the survivor, and how it has to end. */
interface Row {
  readonly what: string;
  readonly call: (client: RawClient) => Promise<unknown>;
  readonly ends: WireStatus | "well";
  /** Seconds from the call to its end. */
  readonly after: readonly [from: number, to: number];
}

const atOnce = [0, 1] as const;
/** 5 s and two election timeouts. */
const requestTimeout = [6.5, 8.5] as const;
/** etcd lets barriers wait for each other, in the order in which they come; ours do not. */
const oneBarrierOrTwo = [6.5, 15] as const;

const put = { request: { $case: "requestPut" as const, value: { key } } };
const serializableRange = { request: { $case: "requestRange" as const, value: { key, serializable: true } } };

const rows: readonly Row[] = [
  { what: "a linearizable range", call: (t) => t.range({ key }), ends: status.Timeout, after: oneBarrierOrTwo },
  { what: "a serializable range", call: (t) => t.range({ key, serializable: true }), ends: "well", after: atOnce },
  {
    what: "a range that asks for a leader",
    call: (t) => t.range({ key }, withLeader),
    ends: status.NoLeader,
    after: atOnce,
  },
  {
    what: "a put that asks for a leader",
    call: (t) => t.put({ key }, withLeader),
    ends: status.NoLeader,
    after: atOnce,
  },
  { what: "a put", call: (t) => t.put({ key }), ends: status.ContextDeadlineExceeded, after: requestTimeout },
  {
    what: "a delete",
    call: (t) => t.deleteRange({ key }),
    ends: status.ContextDeadlineExceeded,
    after: requestTimeout,
  },
  {
    what: "a transaction that puts",
    call: (t) => t.txn({ success: [put] }),
    ends: status.ContextDeadlineExceeded,
    after: requestTimeout,
  },
  {
    what: "a transaction with serializable ranges",
    call: (t) => t.txn({ success: [serializableRange] }),
    ends: "well",
    after: atOnce,
  },
  {
    what: "a compaction",
    call: (t) => t.compact({ revision: 2n }),
    ends: status.ContextDeadlineExceeded,
    after: requestTimeout,
  },
  {
    what: "a lease grant",
    call: (t) => t.leaseGrant({ TTL: 10n }),
    ends: status.ContextDeadlineExceeded,
    after: requestTimeout,
  },
  {
    what: "a lease revocation",
    call: (t) => t.leaseRevoke({ ID: leaseId }),
    ends: status.ContextDeadlineExceeded,
    after: requestTimeout,
  },
  {
    what: "the time left of a lease",
    call: (t) => t.leaseTimeToLive({ ID: leaseId }),
    ends: status.NoLeader,
    after: requestTimeout,
  },
  {
    what: "the time left of a lease with its keys",
    call: (t) => t.leaseTimeToLive({ ID: leaseId, keys: true }),
    ends: status.NoLeader,
    after: requestTimeout,
  },
  {
    what: "the time left of no lease",
    call: (t) => t.leaseTimeToLive({ ID: 78n }),
    ends: status.NoLeader,
    after: requestTimeout,
  },
  { what: "the list of leases", call: (t) => t.leaseLeases(), ends: "well", after: atOnce },
  {
    what: "a linearizable member list",
    call: (t) => t.memberList({ linearizable: true }),
    ends: status.Timeout,
    after: oneBarrierOrTwo,
  },
  { what: "a local member list", call: (t) => t.memberList({ linearizable: false }), ends: "well", after: atOnce },
  {
    what: "adding a member",
    call: (t) => t.memberAdd({ peerURLs: [newcomer] }),
    ends: status.Unhealthy,
    after: atOnce,
  },
  {
    what: "adding a learner",
    call: (t) => t.memberAdd({ peerURLs: [newcomer], isLearner: true }),
    ends: status.Unhealthy,
    after: atOnce,
  },
  { what: "removing the survivor", call: removeSelf, ends: status.Unhealthy, after: atOnce },
  { what: "promoting", call: (t) => t.memberPromote({ ID: 99n }), ends: status.NoLeader, after: requestTimeout },
  {
    what: "asking for alarms",
    call: (t) => t.alarm({ action: 0, alarm: 0 }),
    ends: status.ContextDeadlineExceeded,
    after: requestTimeout,
  },
  { what: "the status", call: (t) => t.status(), ends: "well", after: atOnce },
  { what: "a hash", call: (t) => t.hashKv(), ends: "well", after: atOnce },
  { what: "a defragmentation", call: (t) => t.defragment(), ends: "well", after: atOnce },
  { what: "a snapshot", call: (t) => endOf(t.snapshot()), ends: "well", after: atOnce },
  { what: "moving the leader", call: moveLeaderToSelf, ends: status.NotLeader, after: atOnce },
  {
    what: "a new keep-alive",
    call: (t) => firstOf(keepAlive(t, leaseId)),
    ends: status.NoLeader,
    after: requestTimeout,
  },
  {
    what: "a new keep-alive of no lease",
    call: (t) => firstOf(keepAlive(t, 78n)),
    ends: status.NoLeader,
    after: requestTimeout,
  },
  { what: "a new watch", call: (t) => firstOf(watch(t)), ends: "well", after: atOnce },
  {
    what: "a new watch that asks for a leader",
    call: (t) => firstOf(watch(t, withLeader)),
    ends: status.NoLeader,
    after: atOnce,
  },
];

function keepAlive(client: RawClient, ID: bigint, extras = {}): StreamReader<unknown> {
  const stream = client.leaseKeepAlive(extras);
  stream.send({ ID });
  return stream;
}

function watch(client: RawClient, extras = {}): StreamReader<unknown> {
  const stream = client.watch(extras);
  stream.send({ requestUnion: { $case: "createRequest", value: { key } } });
  return stream;
}

const streamMsMax = 20_000;

/** A stream that ended with a status other than OK. */
class StreamFailed extends Error {
  override readonly name = "StreamFailed";
  readonly code: number;
  readonly details: string;

  constructor({ code, details }: StreamEnd) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

/** Resolves with the first message, or rejects as the stream ended. */
async function firstOf(stream: StreamReader<unknown>): Promise<unknown> {
  const message = await stream.next(streamMsMax).catch(() => endOf(stream));
  stream.cancel();
  return message;
}

/** Rejects if the stream ends with a failure. */
async function endOf(stream: StreamReader<unknown>): Promise<void> {
  const end = await stream.ended(streamMsMax);
  if (end.code !== Code.OK) throw new StreamFailed(end);
}

async function removeSelf(client: RawClient): Promise<unknown> {
  const { header } = await client.status();
  return client.memberRemove({ ID: header?.memberId ?? 0n });
}

async function moveLeaderToSelf(client: RawClient): Promise<unknown> {
  const { header } = await client.status();
  return client.moveLeader({ targetID: header?.memberId ?? 0n });
}

interface Ending {
  readonly ended: { readonly code: number; readonly message: string } | "well";
  readonly seconds: number;
}

async function measure(work: () => Promise<unknown>): Promise<Ending> {
  const startedMs = performance.now();
  const ended = await work().then(
    () => "well" as const,
    (error: { readonly code: number; readonly details: string }) => ({ code: error.code, message: error.details }),
  );
  return { ended, seconds: (performance.now() - startedMs) / 1000 };
}

/** Streams that were open before the others went. */
interface Streams {
  readonly watching: StreamReader<unknown>;
  readonly watchingWithLeader: StreamReader<unknown>;
  readonly keepingAlive: StreamReader<unknown>;
  readonly keepingAliveWithLeader: StreamReader<unknown>;
}

class Survivor {
  readonly endings = new Map<string, Ending>();
  /** Of the streams that asked for a leader, counted from the end of the others. */
  readonly streamEndings: Ending[] = [];
  streams: Streams | undefined;
  leaderlessAfterSeconds = 0;
  readonly #clients: RawClient[];
  readonly #cluster: Cluster;

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#clients = cluster.members.map(({ endpoint }) => rawClient(endpoint));
  }

  static async start({ program, flags }: ClusterTarget): Promise<Survivor> {
    const survivor = new Survivor(await Cluster.start({ program, size: 3, flags }));
    try {
      await survivor.#measureAll();
    } catch (error) {
      await survivor.dispose();
      throw error;
    }
    return survivor;
  }

  async dispose(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.#cluster.dispose();
  }

  /** The survivor is a follower, so that it loses its leader as most members do. */
  async #measureAll(): Promise<void> {
    const states = await Promise.all(this.#clients.map((client) => client.status()));
    const at = states.findIndex(({ header, leader }) => header?.memberId !== leader);
    const client = this.#clients[at];
    if (client === undefined) throw new Error("no member follows");
    this.streams = await openStreams(client);
    await Promise.all(this.#cluster.members.filter((_, other) => other !== at).map((member) => member.end("SIGKILL")));
    const streamEndings = this.#measureStreams(this.streams);
    this.leaderlessAfterSeconds = (await measure(() => leaderless(client))).seconds;
    await Promise.all(rows.map(async ({ what, call }) => this.endings.set(what, await measure(() => call(client)))));
    await streamEndings;
  }

  async #measureStreams({ watchingWithLeader, keepingAliveWithLeader }: Streams): Promise<void> {
    const streams = [watchingWithLeader, keepingAliveWithLeader];
    this.streamEndings.push(...(await Promise.all(streams.map((stream) => measure(() => endOf(stream))))));
  }
}

async function openStreams(client: RawClient): Promise<Streams> {
  await client.put({ key });
  await client.leaseGrant({ ID: leaseId, TTL: 600n });
  const streams: Streams = {
    watching: watch(client),
    watchingWithLeader: watch(client, withLeader),
    keepingAlive: keepAlive(client, leaseId),
    keepingAliveWithLeader: keepAlive(client, leaseId, withLeader),
  };
  await Promise.all(Object.values(streams).map((stream: StreamReader<unknown>) => stream.next()));
  return streams;
}

async function leaderless(client: RawClient): Promise<void> {
  const look = async (): Promise<void> => {
    const { leader, errors } = await client.status();
    expect({ leader, errors }).toEqual({ leader: 0n, errors: [status.NoLeader.message] });
  };
  await vi.waitFor(look, { timeout: 10_000, interval: 20 });
}

/** Both targets at once: most of the time is waiting. */
const survivors = new Map<string, Promise<Survivor>>();

onClusterTargets("A member without its leader", (target) => {
  survivors.set(
    target.name,
    Promise.resolve().then(() => Survivor.start(target)),
  );
  let survivor: Survivor;

  beforeAll(async () => {
    const found = await survivors.get(target.name);
    if (found === undefined) throw new Error("the target was not started");
    survivor = found;
  }, 60_000);

  afterAll(async () => {
    await survivor?.dispose();
  });

  it("knows that it has none within two election timeouts and a little", () => {
    expect(survivor.leaderlessAfterSeconds).toBeLessThan(2.5);
  });

  for (const { what, ends, after } of rows) {
    it(`${what} ends ${ends === "well" ? "well" : `with ${ends.message}`}`, () => {
      const ending = survivor.endings.get(what);
      expect(ending?.ended).toEqual(ends);
      expect(ending?.seconds).toBeGreaterThanOrEqual(after[0]);
      expect(ending?.seconds).toBeLessThanOrEqual(target.isEtcd35 ? after[1] : Math.min(after[1], requestTimeout[1]));
    });
  }

  it("ends streams that ask for a leader at the third look without one", () => {
    expect(survivor.streamEndings).toHaveLength(2);
    for (const { ended, seconds } of survivor.streamEndings) {
      expect(ended).toEqual(status.NoLeader);
      expect(seconds).toBeGreaterThan(2.5);
      expect(seconds).toBeLessThan(6);
    }
  });

  it("leaves other streams open and silent", () => {
    expect(survivor.streams?.watching.isOpen).toBe(true);
    expect(survivor.streams?.keepingAlive.isOpen).toBe(true);
  });
});
