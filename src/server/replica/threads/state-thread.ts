/** The thread that owns the connection that writes the state: it applies, compacts and makes durable. */
import { type Caller, type PackedApplied, packApplied } from "../../state/packed.js";
import { openState, type StateOptions } from "../../state/state.js";
import type { State } from "../../state/types.js";
import { unpackEntries } from "./packing.js";
import { opened, serve } from "./serve.js";

/** What can be handed to a thread of {@link StateOptions}. */
export type StateThreadOptions = Omit<StateOptions, "onFailure">;

export interface OpenState {
  readonly options: StateThreadOptions;
  /** Whose calls wait: the only ones whose answers are needed in full. */
  readonly caller: Caller;
}

export interface StateWork {
  readonly open: { readonly request: OpenState; readonly answer: undefined };
  readonly apply: {
    readonly request: ArrayBuffer;
    readonly answer: { readonly applied: PackedApplied; readonly durationMs: number };
  };
  readonly makeDurable: { readonly request: undefined; readonly answer: number };
  readonly compactStep: { readonly request: undefined; readonly answer: boolean };
  readonly switchFile: { readonly request: string; readonly answer: undefined };
}

let state: State | undefined;
let caller: Caller | undefined;

serve<StateWork>(
  {
    open: (request) => {
      state = openState(request.options);
      caller = request.caller;
      return { answer: undefined };
    },
    apply: (entries) => {
      const startedMs = performance.now();
      const results = opened(state).apply(unpackEntries(entries));
      const durationMs = performance.now() - startedMs;
      const applied = packApplied(results, caller);
      return { answer: { applied, durationMs }, transfer: [applied.buffer] };
    },
    makeDurable: () => ({ answer: opened(state).makeDurable() }),
    compactStep: () => ({ answer: opened(state).compactStep() }),
    switchFile: (file) => {
      // The pointer has been moved before.
      opened(state).switchFile(file, () => undefined);
      return { answer: undefined };
    },
  },
  () => state?.close(),
);
