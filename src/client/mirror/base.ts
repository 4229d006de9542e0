/** What is there: source and destination side by side, both in the order of keys, and only what differs is written. */
import type { Bytes, KeyValue, Kv } from "../index.js";
import { moved, rest } from "./keys.js";

export interface Sides {
  readonly from: Kv<Bytes>;
  readonly to: Kv<Bytes>;
  readonly prefix: Bytes;
  readonly toPrefix: Bytes;
  readonly signal: AbortSignal | undefined;
}

/** One key that both sides were asked for. `key` is the destination's; `after` the source's, to go on behind it. */
export type Finding =
  | { readonly kind: "same"; readonly after: Bytes }
  | { readonly kind: "put"; readonly key: Bytes; readonly value: Bytes; readonly after: Bytes }
  /** The source has no such key. */
  | { readonly kind: "extra"; readonly key: Bytes };

export interface BasePage {
  /** Of the source; the same for all pages. */
  readonly revision: bigint;
  readonly findings: readonly Finding[];
}

/**
 * A page of the source at a time, at least one. Goes on behind `resume.after` at `resume.revision` if told to. Rejects
 * with a CompactedError if the revision is compacted.
 */
export async function* compare(
  sides: Sides,
  resume: { readonly revision: bigint; readonly after: Bytes } | undefined,
): AsyncGenerator<BasePage> {
  const { from, to, prefix, toPrefix, signal } = sides;
  const call = signal === undefined ? {} : { signal };
  const pinned = resume === undefined ? call : { ...call, revision: resume.revision };
  const after = resume === undefined || resume.after.length === 0 ? undefined : resume.after;
  const target = after === undefined ? undefined : moved(after, prefix, toPrefix);
  await using there = new Cursor(to.scan(rest(toPrefix, target), call)[Symbol.asyncIterator]());
  let revision = 0n;
  for await (const page of from.scan(rest(prefix, after), pinned).pages()) {
    revision = page.revision;
    const findings: Finding[] = [];
    for (const kv of page.kvs) {
      const key = moved(kv.keyBytes, prefix, toPrefix);
      for (const extra of await there.before(key)) findings.push({ kind: "extra", key: extra });
      const same = await there.takeSame(key, kv.value);
      const place = { after: kv.keyBytes };
      findings.push(same ? { kind: "same", ...place } : { kind: "put", key, value: kv.value, ...place });
    }
    yield { revision, findings };
  }
  const left = await there.before(undefined);
  yield { revision, findings: left.map((key) => ({ kind: "extra", key })) };
}

/** The destination's keys, one after the other. */
class Cursor implements AsyncDisposable {
  private readonly kvs: AsyncIterator<KeyValue<Bytes>>;
  private current: KeyValue<Bytes> | undefined;
  private over = false;

  constructor(kvs: AsyncIterator<KeyValue<Bytes>>) {
    this.kvs = kvs;
  }

  /** Passes the keys below `key`, or all that are left. */
  async before(key: Bytes | undefined): Promise<Bytes[]> {
    const passed: Bytes[] = [];
    for (;;) {
      const next = await this.peek();
      if (next === undefined) return passed;
      if (key !== undefined && Buffer.compare(next.keyBytes, key) >= 0) return passed;
      passed.push(next.keyBytes);
      this.current = undefined;
    }
  }

  /** Passes the key if it is next; true if it has the value and hangs on no lease, as a copy does. */
  async takeSame(key: Bytes, value: Bytes): Promise<boolean> {
    const next = await this.peek();
    if (next === undefined || Buffer.compare(next.keyBytes, key) !== 0) return false;
    this.current = undefined;
    return next.lease === undefined && Buffer.compare(next.value, value) === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kvs.return?.();
  }

  private async peek(): Promise<KeyValue<Bytes> | undefined> {
    if (this.current !== undefined || this.over) return this.current;
    const step = await this.kvs.next();
    if (step.done === true) this.over = true;
    else this.current = step.value;
    return this.current;
  }
}
