/** A client of the chaos run that uses the SDK on all members at once, with its routing and its retries. */
import { cmp, createClient, type EtcdClient, type KeyValue, type Op, op } from "../../src/client/index.js";
import type { Request, Response, Result, Step } from "../check/wing-gong-model.js";
import type { KeyState } from "../crash/history.js";
import type { Access } from "./clients.js";

const callTimeoutMs = 4_000;

export class SdkAccess implements Access {
  readonly name = "all";
  readonly #client: EtcdClient;

  constructor(endpoints: readonly string[]) {
    this.#client = createClient({ endpoints, timeoutMs: callTimeoutMs });
  }

  renew(): void {
    // Reconnecting is the SDK's own affair.
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async perform(request: Request): Promise<Response> {
    const [only, ...others] = request.steps;
    if (only === undefined || others.length > 0 || request.guards !== undefined) return this.#txn(request);
    switch (only.kind) {
      case "get":
      case "list": {
        const found = await this.#client.list(only.kind === "get" ? only.key : { prefix: only.prefix });
        return answer(found.header.revision, resultOf(only, found));
      }
      case "put": {
        const done = await this.#client.put(only.key, only.value);
        return answer(done.header.revision, { kind: "put" });
      }
      case "delete": {
        const { header, deleted } = await this.#client.delete(only.key);
        return answer(header.revision, { kind: "delete", deleted });
      }
    }
  }

  async #txn({ guards = [], steps, otherwise = [] }: Request): Promise<Response> {
    const done = await this.#client.txn({
      if: guards.map(({ key, modRevision }) => cmp.modRevision(key).equal(BigInt(modRevision))),
      then: steps.map(operationOf),
      else: otherwise.map(operationOf),
    });
    const asked = done.succeeded ? steps : otherwise;
    const found: readonly SdkResult[] = done.results as readonly SdkResult[];
    const results = asked.map((one, position) => resultOf(one, found[position] ?? {}));
    return { revision: Number(done.header.revision), succeeded: done.succeeded, results };
  }
}

function answer(revision: bigint, result: Result): Response {
  return { revision: Number(revision), succeeded: true, results: [result] };
}

function operationOf(one: Step): Op {
  switch (one.kind) {
    case "get":
      return op.get(one.key);
    case "list":
      return op.get({ prefix: one.prefix });
    case "put":
      return op.put(one.key, one.value);
    case "delete":
      return op.delete(one.key);
  }
}

/** The parts of the SDK's results that matter here. */
interface SdkResult {
  readonly kvs?: readonly KeyValue<string>[];
  readonly deleted?: number;
}

function resultOf(one: Step, { kvs = [], deleted = 0 }: SdkResult): Result {
  switch (one.kind) {
    case "get":
      return { kind: "get", found: kvs[0] && stateOf(kvs[0]) };
    case "list":
      return { kind: "list", found: kvs.map((kv) => [kv.key, stateOf(kv)]) };
    case "put":
      return { kind: "put" };
    case "delete":
      return { kind: "delete", deleted };
  }
}

function stateOf({ value, createRevision, modRevision, version }: KeyValue<string>): KeyState {
  return {
    value,
    createRevision: Number(createRevision),
    modRevision: Number(modRevision),
    version,
  };
}
