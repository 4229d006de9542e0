/** The same random history in a real etcd and in our machine: same results, same pairs, same hash at every revision. */
import type { ServiceError } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RequestOp, type TxnRequest, type TxnResponse } from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import type { CommandBody } from "../../../src/server/state/types.js";
import { type RawClient, rawClient } from "../../support/raw-client.js";
import { type RealEtcd, realEtcdMissing, startRealEtcd } from "../../support/real-etcd.js";
import { command, rangeRequest } from "./commands.js";
import { showAnswer, showRange } from "./model.js";
import { failure, World } from "./world.js";

/** Failures that are decided when the command is applied; the others are found before it is proposed. */
const decidedByApply = new Set<string>(
  [status.LeaseNotFound, status.LeaseExist, status.KeyNotFound, status.Compacted, status.FutureRev].map(
    (s) => s.message,
  ),
);

type Answer<T> = { readonly value: T } | { readonly failure: string };

async function call<T>(answer: Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await answer };
  } catch (error) {
    return { failure: (error as ServiceError).details };
  }
}

/**
 * Left out: keeping a value, which ends etcd 3.5.30 for good if the same transaction deletes the key; and keys only, where
 * version 3.5 shows the lease and 3.7, which we follow, does not.
 */
function isComparable(body: CommandBody): boolean {
  return body.$case !== "txn" || stepsOf(body.value).every(isComparableStep);
}

function isComparableStep({ request }: RequestOp): boolean {
  switch (request?.$case) {
    case "requestPut":
      return !request.value.ignoreValue && !request.value.ignoreLease;
    case "requestRange":
      return !request.value.keysOnly;
    case "requestTxn":
      return stepsOf(request.value).every(isComparableStep);
    case "requestDeleteRange":
    case undefined:
      return true;
  }
}

function stepsOf({ success, failure: other }: TxnRequest): RequestOp[] {
  return [...success, ...other];
}

describe.skipIf(realEtcdMissing !== undefined)(
  `a history shared with a real etcd (${realEtcdMissing ?? "present"})`,
  () => {
    let etcd: RealEtcd;
    let client: RawClient;
    let world: World;
    beforeAll(async () => {
      etcd = await startRealEtcd();
      client = rawClient(new URL(etcd.endpoint).host);
      world = new World();
    });
    afterAll(async () => {
      client?.close();
      world?.close();
      await etcd?.stop();
    });

    /** Compactions stay close to the newest revision, or most would name the past or the future. */
    function aimed(body: CommandBody): CommandBody {
      if (body.$case !== "compact") return body;
      const revision = BigInt(world.reader.revision()) - (body.value.revision % 10n);
      return { $case: "compact", value: { ...body.value, revision } };
    }

    function send(body: CommandBody): Promise<Answer<{ header: { revision: bigint } | undefined }>> {
      switch (body.$case) {
        case "put":
          return call(client.put(body.value));
        case "deleteRange":
          return call(client.deleteRange(body.value));
        case "txn":
          return call(client.txn(body.value));
        case "compact":
          return call(client.compact({ ...body.value, physical: true }));
        case "leaseGrant":
          return call(client.leaseGrant({ ID: body.value.id, TTL: 3600n }));
        case "leaseRevoke":
          return call(client.leaseRevoke({ ID: body.value.id }));
        case "leaseCheckpoint":
        case "alarm":
        case "memberPublish":
        case "memberAdd":
        case "memberRemove":
        case "memberUpdate":
        case "memberPromote":
        case "clusterVersionSet":
        case "downgrade":
        case "auth":
          throw new Error(`not part of a history: ${body.$case}`);
      }
    }

    async function compareHashes(): Promise<void> {
      const newest = world.reader.revision();
      for (let revision = Math.max(world.reader.compactRevision() + 1, 1); revision <= newest; revision++) {
        const theirs = await call(client.hashKv({ revision: BigInt(revision) }));
        const { hash, compactRevision } = world.reader.hashKv(revision);
        expect(theirs).toMatchObject({ value: { hash, compactRevision: BigInt(compactRevision) } });
      }
    }

    async function compareRange(request: Parameters<typeof world.reader.range>[0]): Promise<void> {
      const theirs = await call(client.range(request));
      try {
        const ours = showRange(world.reader.range(request));
        expect("value" in theirs && showRange({ ...theirs.value, count: Number(theirs.value.count) })).toEqual(ours);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        expect(theirs).toEqual({ failure: error.message });
      }
    }

    it("ends in the same pairs and hashes", { timeout: 120_000 }, async () => {
      const seed = Number(process.env["LITECD_TEST_SEED"] ?? 20261120);
      const commands = fc.sample(command, { seed, numRuns: 600 }).filter(isComparable);
      const ranges = fc.sample(rangeRequest, { seed, numRuns: 600 }).filter(({ keysOnly }) => !keysOnly);
      let applied = 0;
      for (const [at, drawn] of commands.entries()) {
        const body = aimed(drawn);
        const theirs = await send(body);
        if ("failure" in theirs && !decidedByApply.has(theirs.failure)) continue;
        const ours = world.apply(body);
        applied += 1;
        expect({ at, failure: failure(ours) }).toEqual({
          at,
          failure: "failure" in theirs ? theirs.failure : undefined,
        });
        if ("value" in theirs) expect(BigInt(ours.result.revision)).toBe(theirs.value.header?.revision);
        if ("value" in theirs && "responses" in theirs.value) {
          const response = { kind: "txn" as const, response: theirs.value as TxnResponse };
          expect(showAnswer(ours.result)).toEqual(showAnswer({ kind: "ok", revision: 0, response }));
        }
        const request = ranges[at];
        if (request !== undefined) await compareRange(request);
        if (at % 40 === 0) await compareHashes();
      }
      await compareHashes();
      expect(applied).toBeGreaterThan(300);
      expect(world.reader.revision()).toBeGreaterThan(150);
    });
  },
);
