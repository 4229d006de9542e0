/** Random commands over a few keys, so that they meet each other. */
import fc from "fast-check";
import {
  type Compare,
  PutRequest,
  RangeRequest,
  type RequestOp,
  type TxnRequest,
} from "../../../proto/gen/etcd/rpc.js";
import type { CommandBody } from "../../../src/server/state/types.js";

const none = new Uint8Array(0);
export const keys = ["a", "ab", "abc", "b", "b\0", "c", "\xff", "\xff\xff"].map((key) => Buffer.from(key, "latin1"));
export const leaseIds = [7n, -3n, 0x7fffffffffffffffn];

const key = fc.constantFrom(...keys);
const rangeEnd = fc.oneof(
  { weight: 3, arbitrary: fc.constant(none) },
  { weight: 2, arbitrary: fc.constantFrom(...keys) },
  { weight: 1, arbitrary: fc.constant(Uint8Array.of(0)) },
);
const value = fc.constantFrom("", "1", "2", "10", "\0\xff").map((one) => Buffer.from(one, "latin1"));
const lease = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0n) },
  { weight: 2, arbitrary: fc.constantFrom(...leaseIds) },
);
const flag = fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });
const smallRevision = fc.integer({ min: -1, max: 40 }).map(BigInt);

const put = fc
  .record({ key, value, lease, prevKv: fc.boolean(), ignoreValue: flag, ignoreLease: flag })
  .map((request) => ({ ...PutRequest.create(), ...request }));
const deletion = fc.record({ key, rangeEnd, prevKv: fc.boolean() });

export const rangeRequest: fc.Arbitrary<RangeRequest> = fc
  .record({
    key,
    rangeEnd,
    limit: fc.integer({ min: -1, max: 5 }).map(BigInt),
    revision: fc.oneof(fc.constant(0n), smallRevision),
    sortOrder: fc.constantFrom(0, 1, 2),
    sortTarget: fc.constantFrom(0, 1, 2, 3, 4),
    keysOnly: flag,
    countOnly: flag,
    minModRevision: fc.oneof({ weight: 4, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary: smallRevision }),
    maxModRevision: fc.oneof({ weight: 4, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary: smallRevision }),
    minCreateRevision: fc.oneof({ weight: 4, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary: smallRevision }),
    maxCreateRevision: fc.oneof({ weight: 4, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary: smallRevision }),
  })
  .map((request) => ({ ...RangeRequest.create(), ...request }));

const operand: fc.Arbitrary<Compare["targetUnion"]> = fc.oneof(
  fc.constant(undefined),
  fc.integer({ min: 0, max: 3 }).map((n) => ({ $case: "version" as const, value: BigInt(n) })),
  smallRevision.map((n) => ({ $case: "createRevision" as const, value: n })),
  smallRevision.map((n) => ({ $case: "modRevision" as const, value: n })),
  value.map((bytes) => ({ $case: "value" as const, value: bytes })),
  lease.map((id) => ({ $case: "lease" as const, value: id })),
);
const compare = fc.record({
  result: fc.constantFrom(0, 1, 2, 3),
  target: fc.constantFrom(0, 1, 2, 3, 4),
  key,
  rangeEnd,
  targetUnion: operand,
}) as fc.Arbitrary<Compare>;

const txn: fc.Arbitrary<TxnRequest> = fc.letrec<{ txn: TxnRequest; step: RequestOp }>((tie) => ({
  txn: fc.record({
    compare: fc.array(compare, { maxLength: 2 }),
    success: fc.array(tie("step"), { maxLength: 4 }),
    failure: fc.array(tie("step"), { maxLength: 3 }),
  }),
  step: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    put.map((request): RequestOp => ({ request: { $case: "requestPut", value: request } })),
    deletion.map((request): RequestOp => ({ request: { $case: "requestDeleteRange", value: request } })),
    rangeRequest.map((request): RequestOp => ({ request: { $case: "requestRange", value: request } })),
    tie("txn").map((request): RequestOp => ({ request: { $case: "requestTxn", value: request } })),
  ),
})).txn;

export const checkpoint: fc.Arbitrary<CommandBody> = fc
  .array(fc.record({ id: fc.constantFrom(...leaseIds), remainingSeconds: fc.integer({ min: 0, max: 60 }).map(BigInt) }))
  .map((leases): CommandBody => ({ $case: "leaseCheckpoint", value: { leases, onlyInTerm: 0n } }));

export const command: fc.Arbitrary<CommandBody> = fc.oneof(
  { weight: 6, arbitrary: put.map((request): CommandBody => ({ $case: "put", value: request })) },
  { weight: 3, arbitrary: deletion.map((request): CommandBody => ({ $case: "deleteRange", value: request })) },
  { weight: 4, arbitrary: txn.map((request): CommandBody => ({ $case: "txn", value: request })) },
  {
    weight: 1,
    arbitrary: smallRevision.map(
      (revision): CommandBody => ({ $case: "compact", value: { revision, physical: false } }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(...leaseIds)
      .map((id): CommandBody => ({ $case: "leaseGrant", value: { id, ttlSeconds: 60n } })),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...leaseIds)
      .map((id): CommandBody => ({ $case: "leaseRevoke", value: { id, onlyInTerm: 0n } })),
  },
);
