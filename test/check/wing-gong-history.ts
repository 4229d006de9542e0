/**
 * Holds operations against the history of the store, read at the end: finds the revision of each write whose outcome was
 * unknown, and says what was lost, repeated, invented or changed. It takes that no two puts have the same value.
 */
import type { Change, Revision } from "../crash/history.js";
import { describeOperation, type Operation, type Request, writes } from "./wing-gong-model.js";

export interface Settled {
  /** The operations with the unknown ones settled, and without those that never happened. */
  readonly operations: readonly Operation[];
  /** What is wrong, in words. */
  readonly wrong: readonly string[];
}

/** `owned` tells which keys only the operations write; changes of other keys (leased ones, say) are left alone. */
export function settle(
  operations: readonly Operation[],
  history: readonly Revision[],
  owned: (key: string) => boolean = () => true,
): Settled {
  const book = new Book(history, owned);
  const settled = operations.flatMap((operation) => book.settle(operation));
  return { operations: settled, wrong: [...book.wrong, ...book.unexplained(settled)] };
}

class Book {
  readonly wrong: string[] = [];
  readonly #owned: (key: string) => boolean;
  readonly #byRevision = new Map<number, readonly Change[]>();
  /** Where each put is, by key and value. */
  readonly #byPut = new Map<string, number>();
  readonly #explained = new Set<number>();

  constructor(history: readonly Revision[], owned: (key: string) => boolean) {
    this.#owned = owned;
    for (const { revision, changes } of history) {
      this.#byRevision.set(revision, changes);
      for (const change of changes) {
        if (change.kind === "put" && owned(change.key)) this.#place(`${change.key}\0${change.value}`, revision);
      }
    }
  }

  /** The operation as it is to be checked: nothing if it surely never happened. */
  settle(operation: Operation): Operation[] {
    if (!writes(operation.request)) return operation.response === undefined ? [] : [operation];
    if (operation.response !== undefined) {
      this.#checkAcknowledged(operation, operation.response.revision);
      return [operation];
    }
    const firstPut = putsOf(operation.request)[0];
    // A lone delete carries no value to find it by: it stays unknown.
    if (firstPut === undefined) return [operation];
    const revision = this.#byPut.get(firstPut);
    if (revision === undefined) return [];
    this.#compare(operation, revision);
    return [{ ...operation, settledRevision: revision }];
  }

  /** Revisions that no operation accounts for. A delete may be one of those whose outcome stays unknown. */
  unexplained(operations: readonly Operation[]): string[] {
    const openDeletes = operations
      .filter(({ response, settledRevision }) => response === undefined && settledRevision === undefined)
      .flatMap(({ request }) => request.steps.flatMap((one) => (one.kind === "delete" ? [one.key] : [])));
    const unknown = new Set(openDeletes);
    return [...this.#byRevision].flatMap(([revision, changes]) => {
      const strange = changes.filter(
        (change) => this.#owned(change.key) && !(change.kind === "delete" && unknown.has(change.key)),
      );
      if (strange.length === 0 || this.#explained.has(revision)) return [];
      return [`invented: nobody wrote revision ${revision} ${JSON.stringify(strange)}`];
    });
  }

  #place(put: string, revision: number): void {
    const earlier = this.#byPut.get(put);
    if (earlier === undefined) this.#byPut.set(put, revision);
    else this.wrong.push(`repeated: ${put.replace("\0", "=")} at revisions ${earlier} and ${revision}`);
  }

  #checkAcknowledged(operation: Operation, revision: number): void {
    const { succeeded = false, results = [] } = operation.response ?? {};
    const deletedNothing = results.every((result) => result.kind !== "delete" || result.deleted === 0);
    const changed = succeeded && (putsOf(operation.request).length > 0 || !deletedNothing);
    if (changed) this.#compare(operation, revision);
  }

  #compare(operation: Operation, revision: number): void {
    const changes = this.#byRevision.get(revision);
    if (changes === undefined) {
      this.wrong.push(`lost: revision ${revision} is not in the history: ${describeOperation(operation)}`);
      return;
    }
    this.#explained.add(revision);
    const expected = expectedChanges(operation);
    const surplus = changes.filter((change) => !expected.has(textOf(change)));
    const missing = putsOf(operation.request).filter((put) => !changes.some((change) => textOf(change) === put));
    if (surplus.length > 0 || missing.length > 0) {
      this.wrong.push(
        `changed: revision ${revision} is ${JSON.stringify(changes)}, not what was written: ${describeOperation(operation)}`,
      );
    }
  }
}

/** What may be in its revision: its puts, and the deletes of what was there. */
function expectedChanges({ request }: Operation): Set<string> {
  const deletes = request.steps.flatMap((one) =>
    one.kind === "delete" ? [textOf({ kind: "delete", key: one.key })] : [],
  );
  return new Set([...putsOf(request), ...deletes]);
}

function putsOf({ steps }: Request): string[] {
  return steps.flatMap((one) => (one.kind === "put" ? [textOf(one)] : []));
}

function textOf(change: Change): string {
  return change.kind === "put" ? `${change.key}\0${change.value}` : change.key;
}
