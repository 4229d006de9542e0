/**
 * Holders that share a lease share the key of a lock, so the store cannot tell them apart. Within the process they take
 * turns, in the order in which they came.
 */
import type { Key, Lease } from "../index.js";
import { type Bounds, whenAborted } from "./bounds.js";
import { identityOf } from "./keys.js";

/** Those who wait for the turn on a key, the next one first. An entry is there as long as someone has the turn. */
const lines = new WeakMap<Lease, Map<string, (() => void)[]>>();

/** Ends the turn; the next one's begins. */
export type EndTurn = () => void;

/** The turn if nobody in this process has it under this lease. */
export function tryTurn(lease: Lease, key: Key): EndTurn | undefined {
  const waiting = lines.get(lease) ?? new Map<string, (() => void)[]>();
  lines.set(lease, waiting);
  const id = identityOf(key);
  if (waiting.has(id)) return undefined;
  waiting.set(id, []);
  return ender(waiting, id);
}

/** Waits for the turn. Rejects with the reason of the bounds. */
export async function turn(lease: Lease, key: Key, bounds: Bounds): Promise<EndTurn> {
  const free = tryTurn(lease, key);
  if (free !== undefined) return free;
  const id = identityOf(key);
  const waiting = lines.get(lease);
  const line = waiting?.get(id);
  if (waiting === undefined || line === undefined) throw new Error("a turn is taken, and nobody has it");
  await new Promise<void>((resolve, reject) => {
    const begin = (): void => {
      undo();
      resolve();
    };
    line.push(begin);
    const undo = whenAborted(bounds.signal, () => {
      const position = line.indexOf(begin);
      if (position >= 0) line.splice(position, 1);
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- an EtcdError: bounds abort with nothing else
      reject(bounds.signal.reason);
    });
  });
  return ender(waiting, id);
}

function ender(waiting: Map<string, (() => void)[]>, id: string): EndTurn {
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    const next = waiting.get(id)?.shift();
    if (next === undefined) waiting.delete(id);
    else next();
  };
}
