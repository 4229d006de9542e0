/** Right histories for testing the checker: concurrent clients of a store that does each request at one instant. */
import type { Change, KeyState, Revision } from "../crash/history.js";
import { Dice } from "../crash/plan.js";
import type { Operation, Request, Response, Result, Step } from "./wing-gong-model.js";

export interface HistoryPlan {
  readonly seed: number;
  readonly operations: number;
  readonly keys: number;
  readonly clients: number;
  /** How many answers get lost. Half of those requests happen all the same. */
  readonly unknownPercent: number;
}

export interface RandomHistory {
  readonly operations: readonly Operation[];
  /** What the store went through, as a watch would tell it. */
  readonly history: readonly Revision[];
}

export function randomHistory(plan: HistoryPlan): RandomHistory {
  const dice = new Dice(plan.seed);
  const requests = Array.from({ length: plan.operations }, (_, number) => ({ number, client: number % plan.clients }));
  const freeAt = new Map<number, number>();
  const spans = requests.map(({ number, client }) => {
    const calledAt = (freeAt.get(client) ?? 0) + dice.below(5);
    const doneAt = calledAt + dice.below(10) + dice.below(1000) / 1001;
    const returnedAt = doneAt + dice.below(10);
    freeAt.set(client, returnedAt + 1);
    return { number, client, calledAt, doneAt, returnedAt };
  });
  const store = new Store();
  const operations = spans
    .toSorted((a, b) => a.doneAt - b.doneAt)
    .map(({ number, client, calledAt, returnedAt }): Operation => {
      const request = randomRequest(`v${number}`, { dice, store, keys: plan.keys });
      const name = `c${client}`;
      if (dice.below(100) >= plan.unknownPercent) {
        return { client: name, calledAt, returnedAt, request, response: store.perform(request) };
      }
      if (dice.below(2) === 0) store.perform(request);
      return { client: name, calledAt, returnedAt: Infinity, request };
    });
  return { operations, history: store.history };
}

interface Setting {
  readonly dice: Dice;
  readonly store: Store;
  readonly keys: number;
}

function randomRequest(value: string, { dice, store, keys }: Setting): Request {
  const key = `k${dice.below(keys)}`;
  const other = `k${dice.below(keys)}`;
  const draw = dice.below(20);
  if (draw < 8) return { steps: [{ kind: "put", key, value }] };
  // With many keys, requests that join them are left out, so that the partitions stay apart.
  if (draw < 15 || keys > 6) return { steps: [{ kind: "get", key }] };
  if (draw < 16) return { steps: [{ kind: "delete", key }] };
  if (draw < 17) return { steps: [{ kind: "list", prefix: "k" }] };
  const modRevision = dice.below(3) === 0 ? 1 + dice.below(9) : (store.keys.get(key)?.modRevision ?? 0);
  const steps: Step[] = [{ kind: "put", key, value }];
  if (other !== key) steps.push({ kind: "delete", key: other });
  return { guards: [{ key, modRevision }], steps, otherwise: [{ kind: "get", key }] };
}

/** The store itself, one request after the other. */
class Store {
  readonly keys = new Map<string, KeyState>();
  readonly history: Revision[] = [];
  #revision = 1;

  perform({ guards = [], steps, otherwise = [] }: Request): Response {
    const succeeded = guards.every(({ key, modRevision }) => (this.keys.get(key)?.modRevision ?? 0) === modRevision);
    const changes: Change[] = [];
    const results = (succeeded ? steps : otherwise).map((one) => this.#perform(one, changes));
    if (changes.length > 0) this.history.push({ revision: ++this.#revision, changes });
    return { revision: this.#revision, succeeded, results };
  }

  #perform(one: Step, changes: Change[]): Result {
    switch (one.kind) {
      case "get":
        return { kind: "get", found: this.keys.get(one.key) };
      case "list":
        return { kind: "list", found: [...this.keys].filter(([key]) => key.startsWith(one.prefix)) };
      case "put": {
        const before = this.keys.get(one.key);
        const modRevision = this.#revision + 1;
        const createRevision = before?.createRevision ?? modRevision;
        this.keys.set(one.key, { value: one.value, createRevision, modRevision, version: (before?.version ?? 0) + 1 });
        changes.push({ kind: "put", key: one.key, value: one.value });
        return { kind: "put" };
      }
      case "delete": {
        const deleted = this.keys.delete(one.key) ? 1 : 0;
        if (deleted === 1) changes.push({ kind: "delete", key: one.key });
        return { kind: "delete", deleted };
      }
    }
  }
}
