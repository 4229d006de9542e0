/** Puts and deletions of one revision: what they store, and what they tell the watchers. */
import { KeyValue } from "../../../../proto/gen/etcd/kv.js";
import { invariant } from "../../invariant.js";
import type { KeyRef, KeyRow } from "../../storage/keys.js";
import { revisionChangesMax, revisionId, revisionOf } from "../../storage/revisions.js";
import type { StateSource, StateStore } from "../../storage/state-store.js";
import type { StateHash } from "../state-hash.js";
import type { Change, RevisionChanges } from "../types.js";
import { encodePair, type Pair, toKeyValue, tombstonePair } from "./key-value.js";

/** What the change before it left behind; undefined if that is unknown or compacted. See {@link Change.previous}. */
export type PreviousReader = (id: bigint) => KeyValue | undefined;

/** What a writer works with. */
export interface WriterParts {
  readonly store: StateStore;
  readonly previous: PreviousReader;
  readonly hash: StateHash;
}

export interface NewValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly lease: bigint;
}

/**
 * Writes the changes of one command. The first change opens revision `base + 1`; without one the revision stays.
 * Used inside the transaction of the batch, one writer a command.
 */
export class RevisionWriter {
  readonly #store: StateStore;
  readonly #previous: PreviousReader;
  readonly #hash: StateHash;
  readonly #base: number;
  readonly #changes: Change[] = [];

  constructor({ store, previous, hash }: WriterParts, base: number) {
    this.#store = store;
    this.#previous = previous;
    this.#hash = hash;
    this.#base = base;
  }

  /** The newest revision, that of this command included. */
  get revision(): number {
    return this.#changes.length === 0 ? this.#base : this.#base + 1;
  }

  get changes(): RevisionChanges | undefined {
    if (this.#changes.length === 0) return undefined;
    return { revision: this.#base + 1, changes: this.#changes };
  }

  /** `current` is the key's row in `cur`, read in this transaction. */
  put({ key, value, lease }: NewValue, current: KeyRow | undefined): void {
    const modRevision = this.#base + 1;
    const alive = current !== undefined && !current.dead;
    const createRevision = alive ? Number(current.createRevision) : modRevision;
    const version = alive ? Number(current.version) + 1 : 1;
    const pair: Pair = { key, createRevision, modRevision, version, value, lease };
    const id = this.#insert(pair, current?.id, "put");
    const row = { id, createRevision: BigInt(createRevision), version: BigInt(version), lease };
    if (current === undefined) this.#store.tables.keys.insert(key, row);
    else this.#store.tables.keys.update(key, row);
  }

  /** Deletes a living key; `id` is its newest change. */
  remove({ key, id }: KeyRef): void {
    const deletion = this.#insert(tombstonePair(key, this.#base + 1), id, "delete");
    this.#store.tables.keys.bury(key, deletion);
  }

  #insert(pair: Pair, previous: bigint | undefined, kind: Change["kind"]): bigint {
    const position = this.#changes.length;
    invariant(position < revisionChangesMax, "a revision has too many changes", { revision: pair.modRevision });
    const id = revisionId(pair.modRevision, position);
    invariant(previous === undefined || previous < id, "a change is not newer than the one before", { id });
    const deleted = kind === "delete";
    const checksum = this.#store.tables.revisions.insert({ id, previous, deleted, kv: encodePair(pair) });
    this.#hash.change(id, deleted, checksum);
    this.#changes.push(new StoredChange(kind, toKeyValue(pair), id, this.#previous));
    return id;
  }
}

/** A change that can look up what it replaced, as long as that is not compacted. */
export class StoredChange implements Change {
  readonly kind: Change["kind"];
  readonly kv: KeyValue;
  readonly #id: bigint;
  readonly #read: PreviousReader;

  constructor(kind: Change["kind"], kv: KeyValue, id: bigint, read: PreviousReader) {
    this.kind = kind;
    this.kv = kv;
    this.#id = id;
    this.#read = read;
  }

  previous(): KeyValue | undefined {
    // A creation replaced nothing, even if the same revision deleted the key first.
    if (this.kind === "put" && this.kv.createRevision === this.kv.modRevision) return undefined;
    return this.#read(this.#id);
  }
}

/** Reads what a change replaced: the pair as it was one revision earlier (spec/server.md 4.4). */
export function previousReader(store: StateSource, compactRevision: () => number): PreviousReader {
  return (id) => {
    const revision = revisionOf(id);
    const former = store.read(() => {
      if (revision - 1 < compactRevision()) return undefined;
      return store.tables.revisions.before(id, revisionId(revision, 0));
    });
    return former === undefined || former.deleted ? undefined : KeyValue.decode(former.kv);
  };
}
