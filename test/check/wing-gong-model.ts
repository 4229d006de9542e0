/**
 * The sequential model that a linearizable key-value store must agree with: what each request does to the keys, and
 * which answers it may give. Header revisions are part of the answers, and they prune the search for an order.
 */
import type { KeyState } from "../crash/history.js";

/** One part of a request. */
export type Step =
  | { readonly kind: "get"; readonly key: string }
  | { readonly kind: "list"; readonly prefix: string }
  | { readonly kind: "put"; readonly key: string; readonly value: string }
  | { readonly kind: "delete"; readonly key: string };

/** A condition of a transaction: the key was last changed at this revision; 0 says that it is not there. */
export interface Guard {
  readonly key: string;
  readonly modRevision: number;
}

/** Any request is a transaction here: a plain put is one step without a guard. */
export interface Request {
  readonly guards?: readonly Guard[];
  readonly steps: readonly Step[];
  /** Done instead when a guard does not hold. May only read: see {@link step}. */
  readonly otherwise?: readonly Step[];
}

/** What one step answered. */
export type Result =
  | { readonly kind: "get"; readonly found: KeyState | undefined }
  | { readonly kind: "list"; readonly found: readonly (readonly [key: string, state: KeyState])[] }
  | { readonly kind: "put" }
  | { readonly kind: "delete"; readonly deleted: number };

export interface Response {
  /** Of the header: the revision of the store when the request was done. */
  readonly revision: number;
  readonly succeeded: boolean;
  readonly results: readonly Result[];
}

/** One call of one client. */
export interface Operation {
  readonly client: string;
  /** When it was called and when it returned, by any one clock; `returnedAt` is Infinity if the outcome is unknown. */
  readonly calledAt: number;
  readonly returnedAt: number;
  readonly request: Request;
  /** Absent if the outcome is unknown: it may have happened at any time after the call, or never. */
  readonly response?: Response;
  /** Of a write of unknown outcome that a final reading of the history found: the revision it got. */
  readonly settledRevision?: number;
}

/**
 * A revision as far as it is known: a positive number is exact, a negative one says "greater than its absolute value",
 * which is all there is to know about a write whose outcome nobody saw.
 */
type Bound = number;

interface Cell {
  readonly value: string;
  readonly version: number;
  readonly create: Bound;
  readonly mod: Bound;
  readonly hash: number;
}

/** The store at one point of an order. Never changed: a step makes a new one. */
export interface State {
  /** The store stands at this revision or above it. */
  readonly revision: number;
  readonly cells: ReadonlyMap<string, Cell>;
  /** Of all the cells, independent of how they came about. */
  readonly hash: number;
}

/** A fresh store. */
export const emptyState: State = { revision: 1, cells: new Map(), hash: 0 };

/** What a request does, and what it would answer. */
interface Outcome {
  readonly cells: ReadonlyMap<string, Cell>;
  readonly hash: number;
  readonly changed: boolean;
}

/**
 * The state after `operation`, or undefined if it cannot come next: its answer is not the one that the model gives.
 * An unknown outcome is taken as success; that it failed its guards is the same as that it never happened, which is why
 * `otherwise` may not write.
 */
export function step(state: State, operation: Operation): State | undefined {
  const { request, response, settledRevision } = operation;
  const revision = response?.revision ?? settledRevision;
  if (revision !== undefined && revision < state.revision) return undefined;
  const succeeded = response?.succeeded ?? true;
  if (!guardsMay(state, request.guards ?? [], succeeded)) return undefined;
  const bound = revision ?? -state.revision;
  const outcome = run(state, succeeded ? request.steps : (request.otherwise ?? []), { bound, response });
  if (outcome === undefined) return undefined;
  if (!outcome.changed) return { ...state, revision: revision ?? state.revision };
  // A change raises the revision, so a known one must lie above everything before.
  if (revision !== undefined && revision === state.revision) return undefined;
  return { revision: revision ?? state.revision + 1, cells: outcome.cells, hash: outcome.hash };
}

/** Whether the guards can have held, or can have failed. Of a key with an open revision both may be. */
function guardsMay({ cells }: State, guards: readonly Guard[], succeeded: boolean): boolean {
  if (guards.length === 0) return succeeded;
  if (succeeded) return guards.every(({ key, modRevision }) => mayBe(cells.get(key)?.mod, modRevision));
  return guards.some(({ key, modRevision }) => !surelyIs(cells.get(key)?.mod, modRevision));
}

function mayBe(bound: Bound | undefined, revision: number): boolean {
  if (bound === undefined) return revision === 0;
  return bound > 0 ? bound === revision : revision > -bound;
}

function surelyIs(bound: Bound | undefined, revision: number): boolean {
  return bound === undefined ? revision === 0 : bound === revision;
}

interface Running {
  readonly bound: Bound;
  readonly response: Response | undefined;
}

/** Does the steps one after the other and compares each with its answer, if there is one. */
function run(state: State, steps: readonly Step[], { bound, response }: Running): Outcome | undefined {
  let cells = state.cells;
  let { hash } = state;
  let changed = false;
  for (const [position, one] of steps.entries()) {
    const result = response?.results[position];
    switch (one.kind) {
      case "get": {
        if (result !== undefined && !(result.kind === "get" && agrees(cells.get(one.key), result.found)))
          return undefined;
        break;
      }
      case "list": {
        if (result !== undefined && !(result.kind === "list" && agreesAll(cells, one.prefix, result.found))) {
          return undefined;
        }
        break;
      }
      case "put": {
        const before = cells.get(one.key);
        const after = written(one.key, one.value, { before, bound });
        cells = new Map(cells).set(one.key, after);
        hash = wrapped(hash - (before?.hash ?? 0) + after.hash);
        changed = true;
        break;
      }
      case "delete": {
        const before = cells.get(one.key);
        const deleted = before === undefined ? 0 : 1;
        if (result !== undefined && !(result.kind === "delete" && result.deleted === deleted)) return undefined;
        if (before === undefined) break;
        const rest = new Map(cells);
        rest.delete(one.key);
        cells = rest;
        hash = wrapped(hash - before.hash);
        changed = true;
        break;
      }
    }
  }
  return { cells, hash, changed };
}

function written(key: string, value: string, { before, bound }: { before: Cell | undefined; bound: Bound }): Cell {
  const version = (before?.version ?? 0) + 1;
  const create = before?.create ?? bound;
  return { value, version, create, mod: bound, hash: hashOf(`${key}\0${value}\0${version}\0${create}\0${bound}`) };
}

function agrees(cell: Cell | undefined, found: KeyState | undefined): boolean {
  if (cell === undefined || found === undefined) return cell === undefined && found === undefined;
  return (
    cell.value === found.value &&
    cell.version === found.version &&
    mayBe(cell.mod, found.modRevision) &&
    mayBe(cell.create, found.createRevision)
  );
}

function agreesAll(
  cells: ReadonlyMap<string, Cell>,
  prefix: string,
  found: readonly (readonly [string, KeyState])[],
): boolean {
  let present = 0;
  for (const key of cells.keys()) if (key.startsWith(prefix)) present++;
  return present === found.length && found.every(([key, state]) => agrees(cells.get(key), state));
}

/** Hashes are added up, so they must stay exact integers: 2^50 leaves room for the sums. */
const hashModulus = 2 ** 50;

function wrapped(sum: number): number {
  return ((sum % hashModulus) + hashModulus) % hashModulus;
}

/** Two 32-bit mixes of the text, put together to 50 bits. */
export function hashOf(text: string): number {
  let one = 0x811c9dc5;
  let other = 0x9e3779b9;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    one = Math.imul(one ^ code, 0x01000193);
    other = Math.imul(other ^ code, 0x85ebca6b);
    other ^= other >>> 13;
  }
  one ^= one >>> 15;
  return (one >>> 0) * 2 ** 18 + ((Math.imul(other, 0xc2b2ae35) >>> 14) & 0x3ffff);
}

/** Whether the request may change keys. */
export function writes({ steps }: Request): boolean {
  return steps.some(({ kind }) => kind === "put" || kind === "delete");
}

/** In one line, for a report. */
export function describeOperation({
  client,
  calledAt,
  returnedAt,
  request,
  response,
  settledRevision,
}: Operation): string {
  const guards = (request.guards ?? []).map(({ key, modRevision }) => `mod(${key})=${modRevision}`).join(" and ");
  const steps = request.steps.map(describeStep).join("; ");
  const time = `${calledAt.toFixed(1)}..${returnedAt.toFixed(1)}`;
  const answer =
    response === undefined ? `unknown (settled ${settledRevision ?? "nowhere"})` : JSON.stringify(response);
  return `${client} ${time}: ${guards === "" ? "" : `if ${guards} `}${steps} -> ${answer}`;
}

function describeStep(one: Step): string {
  switch (one.kind) {
    case "get":
    case "delete":
      return `${one.kind} ${one.key}`;
    case "list":
      return `list ${one.prefix}`;
    case "put":
      return `put ${one.key} ${one.value}`;
  }
}
