/** The services over a real state in a temporary directory; commands are applied at once, without a log. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WireStatus } from "../../../proto/status.js";
import { WireError } from "../../../proto/status.js";
import { PasswordThreads } from "../../../src/server/api/auth/passwords.js";
import { SimpleTokens } from "../../../src/server/api/auth/simple-tokens.js";
import { TokenBook } from "../../../src/server/api/auth/token-book.js";
import type { ApiDependencies } from "../../../src/server/api/dependencies.js";
import { createServices } from "../../../src/server/api/services.js";
import type { ApiLimits, CallContext, Services } from "../../../src/server/api/types.js";
import type {
  LeaseClock,
  MembershipControl,
  Outcome,
  ProposeOptions,
  Replica,
  ReplicaMaintenance,
  ReplicaStatus,
} from "../../../src/server/replica/types.js";
import { type Clock, systemClock } from "../../../src/server/runtime/clock.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import { theServer } from "../../../src/server/state/auth/types.js";
import { encodeCommand } from "../../../src/server/state/command.js";
import { openState } from "../../../src/server/state/state.js";
import type { CommandBody, CommandResponse, Member, State } from "../../../src/server/state/types.js";
import { createWatchHub, type WatchHub } from "../../../src/server/watch/hub.js";
import type { WatchLimits } from "../../../src/server/watch/limits.js";

export const clusterId = 0xcdf818194e3a8c32n;
export const memberId = 0x8e9e05c52164694dn;
const term = 2;

export const soleMember: Member = {
  id: memberId,
  name: "one",
  peerUrls: ["http://localhost:2380"],
  clientUrls: ["http://localhost:2379"],
  learner: false,
};

export interface WorldOptions {
  readonly limits?: Partial<ApiLimits>;
  readonly watchLimits?: Partial<WatchLimits>;
  readonly members?: readonly Member[];
  readonly tokenTtlMs?: number;
  readonly clock?: Clock;
}

const defaultLimits: ApiLimits = {
  requestBytesMax: 1_572_864,
  txnOpsMax: 128,
  quotaBackendBytes: 0,
};

/** Applies what is proposed at once, counts barriers, and can be told to refuse. */
export class DirectReplica implements Replica {
  readonly #state: State;
  readonly dir: string;
  readonly proposed: CommandBody[] = [];
  barriers = 0;
  defragmented = 0;
  /** Thrown by every proposal and barrier while set. */
  refusal: WireStatus | undefined;
  statusNow: Partial<ReplicaStatus> = {};
  onApplied: (applied: ReturnType<State["apply"]>) => void = () => undefined;
  readonly leases: LeaseClock = {
    renew: async (id) => this.state.lease(id)?.ttlSeconds ?? 0,
    timeToLive: async (id) => {
      this.#refuse();
      const lease = this.state.lease(id);
      if (lease === undefined) return undefined;
      return { remainingSeconds: lease.ttlSeconds - 1, grantedSeconds: lease.ttlSeconds };
    },
    ordered: () =>
      this.state
        .leases()
        .toSorted((a, b) => a.ttlSeconds - b.ttlSeconds)
        .map(({ id }) => id),
    ttlSecondsMin: 2,
    nextId: () => {
      this.#lastLease += 1n;
      return this.#lastLease;
    },
  };
  readonly maintenance: ReplicaMaintenance = {
    defragment: async () => {
      this.defragmented += 1;
    },
    exportSnapshot: async () => {
      const path = join(this.dir, "snapshot.db");
      this.#state.exportTo(path);
      return { path, sizeBytes: this.snapshotBytes() };
    },
    hashKv: async (revision) => this.state.hashKv(revision),
    hashAll: async () => this.state.hashAll(),
    compactionFinished: async () => {
      while (this.#state.compactStep());
    },
  };
  /** What was asked of the membership, as words; nothing changes. */
  readonly changes: string[] = [];
  readonly members: MembershipControl = {
    add: async ({ peerUrls, learner }) => {
      this.#change(`add ${learner ? "learner" : "voter"} ${peerUrls.join(",")}`);
      return { id: 9n, name: "", peerUrls, clientUrls: [], learner };
    },
    remove: async (id) => this.#change(`remove ${id}`),
    update: async (id, peerUrls) => this.#change(`update ${id} ${peerUrls.join(",")}`),
    promote: async (id) => this.#change(`promote ${id}`),
    transfer: async (to) => this.#change(`transfer ${to}`),
  };
  #lastLease = 1000n;
  snapshotBytes: () => number = () => this.state.size().allocatedBytes;

  constructor(state: State, dir: string) {
    this.#state = state;
    this.dir = dir;
  }

  get state(): State["reader"] {
    return this.#state.reader;
  }

  status(): ReplicaStatus {
    const index = this.state.appliedIndex();
    const usual = { clusterId, memberId, term, role: "leader", leader: memberId, learner: false } as const;
    return { ...usual, committedIndex: index + 1, appliedIndex: index, ...this.statusNow };
  }

  async propose<K extends CommandResponse["kind"]>(
    body: CommandBody,
    options?: Partial<ProposeOptions>,
  ): Promise<Outcome<K>> {
    this.#refuse();
    this.proposed.push(body);
    const index = this.state.appliedIndex() + 1;
    const data = encodeCommand({ origin: memberId, boot: 1, sequence: index }, body, options?.caller);
    const applied = this.#state.apply([{ index, term, kind: "command", data }]);
    this.onApplied(applied);
    const result = applied[0]?.result;
    if (result === undefined) throw new Error("nothing was applied");
    if (result.kind === "failed") throw new WireError(result.status);
    return { revision: result.revision, response: result.response as Outcome<K>["response"] };
  }

  proposeAsLeader<K extends CommandResponse["kind"]>(body: CommandBody): Promise<Outcome<K>> {
    return this.propose(body, { caller: theServer });
  }

  async linearizableRead(): Promise<void> {
    this.#refuse();
    this.barriers += 1;
  }

  #change(words: string): void {
    this.#refuse();
    this.changes.push(words);
  }

  #refuse(): void {
    if (this.refusal !== undefined) throw new WireError(this.refusal);
  }
}

export class ApiWorld {
  readonly dir = mkdtempSync(join(tmpdir(), "litecd-api-"));
  readonly state: State;
  readonly replica: DirectReplica;
  readonly hub: WatchHub;
  readonly services: Services;
  readonly calls: string[] = [];
  readonly tokens: TokenBook;
  readonly passwords = new PasswordThreads({ cost: 4 });
  readonly #abort = new AbortController();

  constructor(options: WorldOptions = {}) {
    const { limits, watchLimits, members = [soleMember], tokenTtlMs = 300_000, clock = systemClock } = options;
    this.tokens = new TokenBook({ clock, ttlMs: tokenTtlMs });
    const place = { dir: this.dir, file: "state-1.db", clusterId, unsafeNoFsync: true };
    this.state = openState({ ...place, bootstrap: { kind: "found", members } });
    this.replica = new DirectReplica(this.state, this.dir);
    this.hub = createWatchHub({
      source: this.replica,
      clock: systemClock,
      random: { below: () => 0 },
      progressNotifyIntervalMs: 600_000,
      limits: watchLimits ?? {},
    });
    this.replica.onApplied = (batch) => {
      this.hub.onApplied(batch);
      this.tokens.applied(batch);
    };
    const deps: ApiDependencies = {
      replica: this.replica,
      hub: this.hub,
      tokens: new SimpleTokens(this.replica, this.tokens),
      passwords: this.passwords,
      limits: { ...defaultLimits, ...limits },
      clock: systemClock,
      logger: silentLogger,
      onCall: (call) => this.calls.push(call),
    };
    this.services = createServices(deps);
  }

  /** The context of a caller that stays until the world ends, or until `signal` aborts. */
  readonly context = (signal: AbortSignal = this.#abort.signal, token?: string): CallContext => ({
    metadata: new Map(token === undefined ? [] : [["token", [token]]]),
    signal,
    remote: "test",
    certificateName: undefined,
  });

  close(): void {
    this.#abort.abort();
    void this.passwords.close();
    this.state.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Opens worlds and closes them after each test. */
export function worlds(afterEach: (close: () => void) => void): (options?: WorldOptions) => ApiWorld {
  const open: ApiWorld[] = [];
  afterEach(() => {
    for (const world of open.splice(0)) world.close();
  });
  return (options) => {
    const world = new ApiWorld(options);
    open.push(world);
    return world;
  };
}
