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
  // First what values tell; what is left over can only be lone deletes.
  const byValue = operations.flatMap((operation) => book.settle(operation));
  const settled = book.settleDeletes(byValue);
  return { operations: settled, wrong: [...book.wrong, ...book.unexplained()] };
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
    if (firstPut === undefined) return [operation];
    const revision = this.#byPut.get(firstPut);
    if (revision === undefined) return [];
    this.#compare(operation, revision);
    return [{ ...operation, settledRevision: revision }];
  }

  /**
   * Lone deletes carry no value to find them by. Those of one key differ in nothing but the time of their call, so each
   * delete in the history that nobody else accounts for goes to the one that was called first. One that gets none did not
   * happen, or found nothing to delete.
   */
  settleDeletes(operations: readonly Operation[]): Operation[] {
    const left = this.#unexplainedDeletes();
    const inOrder = operations.filter(isOpen).toSorted((a, b) => a.calledAt - b.calledAt);
    const found = new Map<Operation, number>();
    for (const operation of inOrder) {
      const revision = left.get(loneKey(operation))?.shift();
      if (revision === undefined) continue;
      this.#explained.add(revision);
      found.set(operation, revision);
    }
    return operations.flatMap((operation) => {
      const settledRevision = found.get(operation);
      if (settledRevision !== undefined) return [{ ...operation, settledRevision }];
      return isOpen(operation) ? [] : [operation];
    });
  }

  /** Revisions that no operation accounts for. */
  unexplained(): string[] {
    return [...this.#byRevision].flatMap(([revision, changes]) => {
      const strange = changes.filter((change) => this.#owned(change.key));
      if (strange.length === 0 || this.#explained.has(revision)) return [];
      return [`invented: nobody wrote revision ${revision} ${JSON.stringify(strange)}`];
    });
  }

  /** By key, in order, those that are alone in their revision. */
  #unexplainedDeletes(): Map<string, number[]> {
    const byKey = new Map<string, number[]>();
    for (const revision of [...this.#byRevision.keys()].toSorted((a, b) => a - b)) {
      const [only, ...others] = this.#byRevision.get(revision) ?? [];
      if (only?.kind !== "delete" || others.length > 0 || this.#explained.has(revision)) continue;
      byKey.set(only.key, [...(byKey.get(only.key) ?? []), revision]);
    }
    return byKey;
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

/** Whether it is still unknown what became of it. */
function isOpen({ response, settledRevision }: Operation): boolean {
  return response === undefined && settledRevision === undefined;
}

function loneKey({ request }: Operation): string {
  const [only, ...others] = request.steps;
  if (only?.kind !== "delete" || others.length > 0)
    throw new Error("only requests of a single delete are without a value");
  return only.key;
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
