/** The conditions of a transaction (spec/server.md 3.5, table of compares). */
import { KeyValue } from "../../../../proto/gen/etcd/kv.js";
import { type Compare, Compare_CompareResult, Compare_CompareTarget } from "../../../../proto/gen/etcd/rpc.js";
import type { StateSource } from "../../storage/state-store.js";
import { intervalOf } from "./interval.js";

const noBytes = new Uint8Array(0);

/** Whether a condition holds for every key it names in the state as it is now. */
export function holds(store: StateSource, compare: Compare): boolean {
  const pairs = pairsOf(store, compare);
  // No key at all is compared as one that was never written.
  if (pairs.length === 0) return compare.target !== Compare_CompareTarget.VALUE && matches(compare, undefined);
  return pairs.every((pair) => matches(compare, pair));
}

function pairsOf({ tables: { scanner } }: StateSource, compare: Compare): readonly KeyValue[] {
  const interval = intervalOf(compare);
  if (interval.kind === "one") {
    const found = scanner.latestOne(interval.key);
    return found === undefined ? [] : [KeyValue.decode(found.kv)];
  }
  const found = scanner.latest({ interval, order: "keyAscending", filter: undefined, rowsMax: -1 });
  return found.map(({ kv }) => KeyValue.decode(kv));
}

function matches(compare: Compare, pair: KeyValue | undefined): boolean {
  const difference = differenceOf(compare, pair);
  switch (compare.result) {
    case Compare_CompareResult.EQUAL:
      return difference === 0;
    case Compare_CompareResult.NOT_EQUAL:
      return difference !== 0;
    case Compare_CompareResult.GREATER:
      return difference > 0;
    case Compare_CompareResult.LESS:
      return difference < 0;
  }
}

/** Sign of what is stored minus what is given. An operand that does not fit the target counts as zero or empty. */
function differenceOf({ target, targetUnion }: Compare, pair: KeyValue | undefined): number {
  switch (target) {
    case Compare_CompareTarget.VERSION:
      return sign(pair?.version, targetUnion?.$case === "version" ? targetUnion.value : 0n);
    case Compare_CompareTarget.CREATE:
      return sign(pair?.createRevision, targetUnion?.$case === "createRevision" ? targetUnion.value : 0n);
    case Compare_CompareTarget.MOD:
      return sign(pair?.modRevision, targetUnion?.$case === "modRevision" ? targetUnion.value : 0n);
    case Compare_CompareTarget.LEASE:
      return sign(pair?.lease, targetUnion?.$case === "lease" ? targetUnion.value : 0n);
    case Compare_CompareTarget.VALUE:
      return Buffer.compare(pair?.value ?? noBytes, targetUnion?.$case === "value" ? targetUnion.value : noBytes);
  }
}

function sign(stored: bigint | undefined, given: bigint): number {
  const value = stored ?? 0n;
  if (value === given) return 0;
  return value > given ? 1 : -1;
}
