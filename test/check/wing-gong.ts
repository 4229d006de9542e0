/**
 * Is there an order of these operations that respects real time and agrees with the model? The search is Wing and Gong's
 * with Lowe's memo: linearize any operation that was called before the first return, undo what leads nowhere, and never
 * visit the same set of done operations in the same state twice. Linearizability is local, so keys that no operation
 * touches together are searched apart; what is not local, the store's one revision, is checked on its own.
 */
import { describeOperation, emptyState, hashOf, type Operation, type State, step } from "./wing-gong-model.js";

export type Verdict =
  | { readonly kind: "linearizable" }
  /** `report` shows how far the longest order got and what could not come next. */
  | { readonly kind: "violation"; readonly report: string }
  /** The search was given up after {@link Limits.stepsMax}: too many unknown outcomes. */
  | { readonly kind: "undecided"; readonly report: string };

export interface Limits {
  /** Steps of the model over all partitions. */
  readonly stepsMax: number;
}

const defaultLimits: Limits = { stepsMax: 20_000_000 };

/** Checks a whole history: the revisions first, which is cheap, and then every partition. */
export function checkLinearizable(operations: readonly Operation[], limits: Limits = defaultLimits): Verdict {
  const [wrong] = checkRevisions(operations);
  if (wrong !== undefined) return { kind: "violation", report: wrong };
  let stepsLeft = limits.stepsMax;
  for (const partition of partitions(operations)) {
    const search = new Search(partition, stepsLeft);
    const verdict = search.run();
    if (verdict.kind !== "linearizable") return verdict;
    stepsLeft -= search.steps;
  }
  return { kind: "linearizable" };
}

/**
 * The store has one revision for all keys: an operation that began after another had returned may not stand at an older
 * one, two changes never share one, and what began after a change was acknowledged writes above it.
 */
export function checkRevisions(operations: readonly Operation[]): string[] {
  const known = operations.filter((operation) => operation.response !== undefined);
  const byReturn = known.toSorted((a, b) => a.returnedAt - b.returnedAt);
  const wrong: string[] = [];
  let returned = 0;
  let newest: Operation | undefined;
  for (const operation of known.toSorted((a, b) => a.calledAt - b.calledAt)) {
    for (; (byReturn[returned]?.returnedAt ?? Infinity) < operation.calledAt; returned++) {
      const candidate = byReturn[returned];
      if (candidate !== undefined && revisionOf(candidate) > revisionOf(newest)) newest = candidate;
    }
    const floor = revisionOf(newest) + (changes(operation) ? 1 : 0);
    if (newest !== undefined && revisionOf(operation) < floor) {
      wrong.push(`went back: ${describeOperation(operation)}\n  after it had returned: ${describeOperation(newest)}`);
    }
  }
  return [...wrong, ...sharedRevisions(known)];
}

function sharedRevisions(known: readonly Operation[]): string[] {
  const owners = new Map<number, Operation>();
  return known.filter(changes).flatMap((operation) => {
    const owner = owners.get(revisionOf(operation));
    owners.set(revisionOf(operation), operation);
    if (owner === undefined) return [];
    return [`two changes share a revision: ${describeOperation(owner)}\n  and: ${describeOperation(operation)}`];
  });
}

function revisionOf(operation: Operation | undefined): number {
  return operation?.response?.revision ?? 0;
}

/** Whether its answer shows that it changed something. */
function changes({ request, response }: Operation): boolean {
  if (response === undefined || !response.succeeded) return false;
  return request.steps.some((one, position) => {
    const result = response.results[position];
    return one.kind === "put" || (result?.kind === "delete" && result.deleted > 0);
  });
}

/** Operations that share keys, directly or through others, together; the others apart. */
function partitions(operations: readonly Operation[]): Operation[][] {
  const keys = new Set(operations.flatMap((operation) => keysOf(operation)));
  const groups = new Groups();
  for (const operation of operations) {
    const [first, ...others] = [...keysOf(operation), ...listedKeys(operation, keys)];
    if (first !== undefined) for (const other of others) groups.join(first, other);
  }
  const found = new Map<string, Operation[]>();
  for (const operation of operations) {
    const [first] = [...keysOf(operation), ...listedKeys(operation, keys)];
    // A read of nothing that anybody ever wrote: it forms a partition with others of its kind.
    const root = first === undefined ? "" : groups.rootOf(first);
    const partition = found.get(root);
    if (partition === undefined) found.set(root, [operation]);
    else partition.push(operation);
  }
  return [...found.values()];
}

function keysOf({ request }: Operation): string[] {
  const steps = [...request.steps, ...(request.otherwise ?? [])];
  const named = steps.flatMap((one) => (one.kind === "list" ? [] : [one.key]));
  return [...(request.guards ?? []).map(({ key }) => key), ...named];
}

function listedKeys({ request, response }: Operation, all: ReadonlySet<string>): string[] {
  const prefixes = [...request.steps, ...(request.otherwise ?? [])].flatMap((one) =>
    one.kind === "list" ? [one.prefix] : [],
  );
  if (prefixes.length === 0) return [];
  const answered = (response?.results ?? []).flatMap((result) =>
    result.kind === "list" ? result.found.map(([key]) => key) : [],
  );
  return [...[...all].filter((key) => prefixes.some((prefix) => key.startsWith(prefix))), ...answered];
}

/** Sets that grow together. */
class Groups {
  readonly #parents = new Map<string, string>();

  rootOf(member: string): string {
    let root = member;
    for (let parent = this.#parents.get(root); parent !== undefined; parent = this.#parents.get(root)) root = parent;
    if (root !== member) this.#parents.set(member, root);
    return root;
  }

  join(one: string, other: string): void {
    const [a, b] = [this.rootOf(one), this.rootOf(other)];
    if (a !== b) this.#parents.set(a, b);
  }
}

/** The call or the return of an operation, in a list ordered by time from which done operations are lifted out. */
interface Entry {
  readonly operation: Operation;
  /** Of a call: its return, unless the outcome is unknown. Of a return: undefined. */
  readonly answer: Entry | undefined;
  readonly isCall: boolean;
  /** Random numbers that stand for "this operation is done" in the memo. */
  readonly mark: readonly [number, number];
  before: Entry | undefined;
  after: Entry | undefined;
}

interface Done {
  readonly entry: Entry;
  readonly stateBefore: State;
}

class Search {
  readonly #head: Entry;
  readonly #total: number;
  readonly #stepsMax: number;
  readonly #seen = new Set<string>();
  readonly #done: Done[] = [];
  readonly #turns: Turns;
  #state = emptyState;
  #marks: [number, number] = [0, 0];
  /** Operations that must be in any order and are not yet in this one. */
  #missing: number;
  #deepest: { readonly done: number; readonly report: string } = { done: -1, report: "" };
  steps = 0;

  constructor(operations: readonly Operation[], stepsMax: number) {
    this.#head = linked(operations);
    this.#total = operations.length;
    this.#stepsMax = stepsMax;
    this.#missing = operations.filter(isRequired).length;
    this.#turns = new Turns(operations);
  }

  run(): Verdict {
    let entry = this.#head.after;
    while (this.#missing > 0) {
      if (entry?.isCall === true) {
        if (++this.steps > this.#stepsMax) return { kind: "undecided", report: this.#furthest() };
        entry = this.#linearize(entry) ? this.#head.after : entry.after;
        continue;
      }
      // A return of something that is not done, or the end: what was done last has to be undone.
      this.#remember();
      const last = this.#done.pop();
      if (last === undefined) return { kind: "violation", report: this.#furthest() };
      this.#undo(last);
      entry = last.entry.after;
    }
    return { kind: "linearizable" };
  }

  /** Puts the operation next in the order, if the model agrees and this was not tried before. */
  #linearize(entry: Entry): boolean {
    if (!this.#turns.mayBeNext(entry.operation)) return false;
    const next = step(this.#state, entry.operation);
    if (next === undefined) return false;
    const marks = this.#toggled(entry);
    const memo = `${marks[0]},${marks[1]},${next.revision},${next.hash}`;
    if (this.#seen.has(memo)) return false;
    this.#seen.add(memo);
    this.#done.push({ entry, stateBefore: this.#state });
    this.#state = next;
    this.#marks = marks;
    if (isRequired(entry.operation)) this.#missing--;
    this.#turns.take(entry.operation);
    lift(entry);
    return true;
  }

  #undo({ entry, stateBefore }: Done): void {
    this.#state = stateBefore;
    this.#marks = this.#toggled(entry);
    if (isRequired(entry.operation)) this.#missing++;
    this.#turns.giveBack(entry.operation);
    putBack(entry);
  }

  #toggled({ mark }: Entry): [number, number] {
    return [this.#marks[0] ^ mark[0], this.#marks[1] ^ mark[1]];
  }

  /** Keeps what the longest order so far looked like where it got stuck. */
  #remember(): void {
    if (this.#done.length <= this.#deepest.done) return;
    const candidates: string[] = [];
    for (let entry = this.#head.after; entry?.isCall === true && candidates.length < 20; entry = entry.after) {
      candidates.push(`  ${describeOperation(entry.operation)}`);
    }
    const cells = [...this.#state.cells].map(([key, { value, mod, version }]) => `${key}=${value}@${mod}v${version}`);
    const report = [
      `after ${this.#done.length} of ${this.#total} operations at revision ${this.#state.revision}`,
      `  keys: ${cells.join(" ")}`,
      ...this.#done.slice(-3).map(({ entry }) => `  done last: ${describeOperation(entry.operation)}`),
      "none of these can come next:",
      ...candidates,
    ].join("\n");
    this.#deepest = { done: this.#done.length, report };
  }

  #furthest(): string {
    if (this.#deepest.done < 0) this.#remember();
    return this.#deepest.report;
  }
}

/**
 * Known revisions never go down along an order, and a change comes before the reads of its revision. So of the operations
 * that an order must hold, one of the lowest is next: without this the search would pass over a change that has no return,
 * and find out at the very end.
 */
class Turns {
  readonly #sorted: readonly Operation[];
  readonly #taken = new Set<Operation>();
  /** All before this one are taken. */
  #lowest = 0;

  constructor(operations: readonly Operation[]) {
    this.#sorted = operations.filter(isRequired).toSorted((a, b) => turnOf(a) - turnOf(b));
  }

  mayBeNext(operation: Operation): boolean {
    const lowest = this.#sorted[this.#lowest];
    return lowest === undefined || !isRequired(operation) || turnOf(operation) === turnOf(lowest);
  }

  take(operation: Operation): void {
    if (!isRequired(operation)) return;
    this.#taken.add(operation);
    for (;;) {
      const lowest = this.#sorted[this.#lowest];
      if (lowest === undefined || !this.#taken.has(lowest)) return;
      this.#lowest++;
    }
  }

  giveBack(operation: Operation): void {
    if (!this.#taken.delete(operation)) return;
    while (this.#lowest > 0 && !this.#taken.has(this.#sorted[this.#lowest - 1] ?? operation)) this.#lowest--;
  }
}

/** Where an operation with a known revision stands: changes on even places, reads on the odd ones after them. */
function turnOf(operation: Operation): number {
  const { response, settledRevision = 0 } = operation;
  return 2 * (response?.revision ?? settledRevision) + (response === undefined || changes(operation) ? 0 : 1);
}

/** Whether every order must hold it: it was answered, or it was found in the store. */
function isRequired({ response, settledRevision }: Operation): boolean {
  return response !== undefined || settledRevision !== undefined;
}

/** All calls and returns in a doubly linked list behind a head of its own. */
function linked(operations: readonly Operation[]): Entry {
  const entries: { at: number; entry: Entry }[] = [];
  for (const [position, operation] of operations.entries()) {
    const mark: [number, number] = [hashOf(`${position}`) | 0, hashOf(`mark ${position} mark`) | 0];
    const answered = Number.isFinite(operation.returnedAt);
    const answer = answered ? newEntry({ operation, mark, isCall: false, answer: undefined }) : undefined;
    if (answer !== undefined) entries.push({ at: operation.returnedAt, entry: answer });
    entries.push({ at: operation.calledAt, entry: newEntry({ operation, mark, isCall: true, answer }) });
  }
  // At one instant calls come first: then neither precedes the other, and both orders are allowed.
  entries.sort((a, b) => a.at - b.at || Number(b.entry.isCall) - Number(a.entry.isCall));
  const nobody: Operation = { client: "", calledAt: 0, returnedAt: 0, request: { steps: [] } };
  const head = newEntry({ operation: nobody, mark: [0, 0], isCall: false, answer: undefined });
  let last = head;
  for (const { entry } of entries) {
    last.after = entry;
    entry.before = last;
    last = entry;
  }
  return head;
}

function newEntry(content: Pick<Entry, "operation" | "mark" | "isCall" | "answer">): Entry {
  return { ...content, before: undefined, after: undefined };
}

function lift(entry: Entry): void {
  for (const one of [entry, entry.answer]) {
    if (one?.before !== undefined) one.before.after = one.after;
    if (one?.after !== undefined) one.after.before = one.before;
  }
}

/** Undoes {@link lift}: an entry still knows where it was. */
function putBack(entry: Entry): void {
  for (const one of [entry.answer, entry]) {
    if (one?.before !== undefined) one.before.after = one;
    if (one?.after !== undefined) one.after.before = one;
  }
}
