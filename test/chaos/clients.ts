/** Clients that do one request after the other, each at members of its own, and write down what they asked and heard. */
import { setTimeout as delay } from "node:timers/promises";
import type { KeyValue } from "../../proto/gen/etcd/kv.js";
import type { RequestOp, ResponseOp } from "../../proto/gen/etcd/rpc.js";
import { Compare_CompareResult, Compare_CompareTarget, RangeRequest } from "../../proto/gen/etcd/rpc.js";
import { isEtcdError } from "../../src/client/index.js";
import {
  type Operation,
  type Request,
  type Response,
  type Result,
  type Step,
  writes,
} from "../check/wing-gong-model.js";
import type { KeyState } from "../crash/history.js";
import type { Dice } from "../crash/plan.js";
import { type RawClient, rawClient } from "../support/raw-client.js";

/** The keys that only these clients write begin with this. */
export const ownPrefix = "chaos/";
const keyCount = 10;
const callTimeoutMs = 2_000;

/** A read that need not be linearizable, or that is of an explicit revision. */
export interface PastRead {
  readonly member: string;
  readonly key: string;
  /** The revision that the answer has to be the truth at. */
  readonly revision: number;
  readonly found: KeyState | undefined;
}

/** What all clients write down, and when they are to stop. */
export interface Stage {
  readonly operations: Operation[];
  /** Writes of which the SDK promised that they were not done. */
  readonly denied: Request[];
  readonly pastReads: PastRead[];
  stopped: boolean;
}

/** How a client reaches the cluster. */
export interface Access {
  /** Whom it talks to, for the report. */
  readonly name: string;
  perform(request: Request): Promise<Response>;
  /** Called after a failure: a new connection costs less than waiting out the old one's backoff. */
  renew(): void;
  close(): Promise<void> | void;
}

interface ClientOptions {
  readonly name: string;
  readonly dice: Dice;
  readonly access: Access;
  readonly stage: Stage;
}

/** Performs random requests until the stage is over. */
export async function keepAsking({ name, dice, access, stage }: ClientOptions): Promise<void> {
  const requests = new Requests(name, dice);
  while (!stage.stopped) {
    const request = requests.next();
    const calledAt = performance.now();
    try {
      const response = await access.perform(request);
      stage.operations.push({ client: name, calledAt, returnedAt: performance.now(), request, response });
      requests.learn(response);
    } catch (error) {
      if (!isAnswer(error)) throw error;
      if (isEtcdError(error) && error.outcome === "not-applied") stage.denied.push(request);
      else if (writes(request)) stage.operations.push({ client: name, calledAt, returnedAt: Infinity, request });
      access.renew();
      await delay(20 + dice.below(80));
    }
    await delay(5 + dice.below(15));
  }
  await access.close();
}

/** An error of the wire, whatever it says. Anything else is a mistake in the test. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && "code" in error;
}

/** Reads single keys without asking the leader, as they are and as they were, until the stage is over. */
export async function keepLookingBack(access: RawAccess, { dice, stage }: { dice: Dice; stage: Stage }): Promise<void> {
  let newest = 1;
  while (!stage.stopped) {
    const key = `${ownPrefix}k${dice.below(keyCount)}`;
    const revision = dice.below(2) === 0 ? 0 : Math.max(1, newest - dice.below(50));
    try {
      const read = await access.readPast(key, revision);
      newest = Math.max(newest, read.revision);
      stage.pastReads.push(read);
    } catch (error) {
      // A compacted revision is refused, and rightly so; so is one that this member does not have yet.
      if (!isAnswer(error)) throw error;
      access.renew();
      await delay(50);
    }
    await delay(10 + dice.below(40));
  }
  access.close();
}

/** Random requests of one client; it remembers what it saw of each key, for its compare-and-sets. */
class Requests {
  readonly #name: string;
  readonly #dice: Dice;
  readonly #seen = new Map<string, number>();
  #sequence = 0;

  constructor(name: string, dice: Dice) {
    this.#name = name;
    this.#dice = dice;
  }

  next(): Request {
    const [key, other] = this.#twoKeys();
    const draw = this.#dice.below(100);
    if (draw < 32) return { steps: [this.#put(key)] };
    if (draw < 60) return { steps: [{ kind: "get", key }] };
    if (draw < 72) return { steps: [{ kind: "list", prefix: ownPrefix }] };
    if (draw < 78) return { steps: [{ kind: "delete", key }] };
    if (draw < 84) return { steps: [this.#put(key), this.#put(other)] };
    if (draw < 88) return { steps: [this.#put(key), { kind: "delete", key: other }] };
    const guards = [{ key, modRevision: this.#seen.get(key) ?? 0 }];
    return { guards, steps: [this.#put(key)], otherwise: [{ kind: "get", key }] };
  }

  /** Takes note of the revisions that an answer shows. */
  learn({ results }: Response): void {
    for (const result of results) {
      if (result.kind !== "list") continue;
      this.#seen.clear();
      for (const [key, { modRevision }] of result.found) this.#seen.set(key, modRevision);
    }
  }

  #put(key: string): Step {
    return { kind: "put", key, value: `${this.#name}-${++this.#sequence}` };
  }

  #twoKeys(): [string, string] {
    const first = this.#dice.below(keyCount);
    const second = (first + 1 + this.#dice.below(keyCount - 1)) % keyCount;
    return [`${ownPrefix}k${first}`, `${ownPrefix}k${second}`];
  }
}

/** One member, over a raw connection. */
export class RawAccess implements Access {
  readonly name: string;
  readonly #endpoint: string;
  #client: RawClient;

  constructor(name: string, endpoint: string) {
    this.name = name;
    this.#endpoint = endpoint;
    this.#client = rawClient(endpoint);
  }

  renew(): void {
    this.#client.close();
    this.#client = rawClient(this.#endpoint);
  }

  close(): void {
    this.#client.close();
  }

  /** A key as of some revision: 0 asks for whatever the member has. */
  async readPast(key: string, revision: number): Promise<PastRead> {
    const request = { key: encode(key), revision: BigInt(revision), serializable: true };
    const { header, kvs } = await this.#client.range(request, { timeoutMs: callTimeoutMs });
    const at = revision === 0 ? Number(header?.revision) : revision;
    return { member: this.name, key, revision: at, found: kvs[0] && stateOf(kvs[0]) };
  }

  async perform(request: Request): Promise<Response> {
    const [only, ...others] = request.steps;
    if (only === undefined || others.length > 0 || request.guards !== undefined) return this.#txn(request);
    const extras = { timeoutMs: callTimeoutMs };
    switch (only.kind) {
      case "get": {
        const { header, kvs } = await this.#client.range({ key: encode(only.key) }, extras);
        return answer(header, { kind: "get", found: kvs[0] && stateOf(kvs[0]) });
      }
      case "list": {
        const { header, kvs } = await this.#client.range(prefixRange(only.prefix), extras);
        return answer(header, { kind: "list", found: kvs.map((kv) => [decode(kv.key), stateOf(kv)]) });
      }
      case "put": {
        const { header } = await this.#client.put({ key: encode(only.key), value: encode(only.value) }, extras);
        return answer(header, { kind: "put" });
      }
      case "delete": {
        const { header, deleted } = await this.#client.deleteRange({ key: encode(only.key) }, extras);
        return answer(header, { kind: "delete", deleted: Number(deleted) });
      }
    }
  }

  async #txn({ guards = [], steps, otherwise = [] }: Request): Promise<Response> {
    const compare = guards.map(({ key, modRevision }) => ({
      key: encode(key),
      target: Compare_CompareTarget.MOD,
      result: Compare_CompareResult.EQUAL,
      targetUnion: { $case: "modRevision" as const, value: BigInt(modRevision) },
    }));
    const request = { compare, success: steps.map(operationOf), failure: otherwise.map(operationOf) };
    const { header, succeeded, responses } = await this.#client.txn(request, { timeoutMs: callTimeoutMs });
    return { revision: Number(header?.revision), succeeded, results: responses.map(resultOf) };
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const encode = (text: string): Uint8Array => encoder.encode(text);
const decode = (data: Uint8Array): string => decoder.decode(data);

/** All keys that begin with the prefix; it must not end in the highest byte. */
export function prefixRange(prefix: string): { key: Uint8Array; rangeEnd: Uint8Array } {
  const rangeEnd = encode(prefix);
  const last = rangeEnd.length - 1;
  rangeEnd[last] = (rangeEnd[last] ?? 0) + 1;
  return { key: encode(prefix), rangeEnd };
}

export function stateOf({ value, createRevision, modRevision, version }: KeyValue): KeyState {
  return {
    value: decode(value),
    createRevision: Number(createRevision),
    modRevision: Number(modRevision),
    version: Number(version),
  };
}

function answer(header: { readonly revision: bigint } | undefined, result: Result): Response {
  return { revision: Number(header?.revision), succeeded: true, results: [result] };
}

function operationOf(one: Step): RequestOp {
  switch (one.kind) {
    case "get":
    case "list":
      return { request: { $case: "requestRange", value: rangeOf(one) } };
    case "put": {
      const flags = { lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false };
      return {
        request: { $case: "requestPut", value: { key: encode(one.key), value: encode(one.value), ...flags } },
      };
    }
    case "delete": {
      const value = { key: encode(one.key), rangeEnd: new Uint8Array(), prevKv: false };
      return { request: { $case: "requestDeleteRange", value } };
    }
  }
}

function rangeOf(one: Extract<Step, { kind: "get" | "list" }>): RangeRequest {
  const range = one.kind === "get" ? { key: encode(one.key) } : prefixRange(one.prefix);
  return RangeRequest.fromPartial(range);
}

function resultOf({ response }: ResponseOp): Result {
  switch (response?.$case) {
    case "responseRange": {
      const [kv] = response.value.kvs;
      return { kind: "get", found: kv && stateOf(kv) };
    }
    case "responseDeleteRange":
      return { kind: "delete", deleted: Number(response.value.deleted) };
    case "responsePut":
      return { kind: "put" };
    case "responseTxn":
    case undefined:
      throw new Error("a transaction answered with what it was not asked for");
  }
}
