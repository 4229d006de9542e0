/** Listening to abort signals: the one place that adds listeners to them, and takes them off again. */

const callbacks = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back once when the signal aborts, at once if it has. Returns what undoes it. However many listen, the signal
 * itself gets one listener: thousands of calls may share a signal.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => {};
  }
  const listening = callbacks.get(signal) ?? listen(signal);
  // A wrapper, so that the same function may listen twice.
  const entry = (): void => callback();
  listening.add(entry);
  return () => {
    listening.delete(entry);
  };
}

function listen(signal: AbortSignal): Set<() => void> {
  const listening = new Set<() => void>();
  callbacks.set(signal, listening);
  const notify = (): void => {
    callbacks.delete(signal);
    for (const callback of listening) callback();
    listening.clear();
  };
  signal.addEventListener("abort", notify, { once: true });
  return listening;
}

export interface LinkedSignal {
  readonly signal: AbortSignal;
  dispose(): void;
}

/** One signal that follows both, with the reason of the first to abort. */
export function linkSignals(first: AbortSignal, second: AbortSignal | undefined): LinkedSignal {
  if (second === undefined) return { signal: first, dispose: () => {} };
  const linked = new AbortController();
  const undo = [first, second].map((signal) => onAbort(signal, () => linked.abort(signal.reason)));
  return {
    signal: linked.signal,
    dispose: () => {
      for (const each of undo) each();
    },
  };
}

/** Resolves after `ms` or when the signal aborts, whichever is first. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let undo: (() => void) | undefined;
    const done = (): void => {
      clearTimeout(timer);
      undo?.();
      resolve();
    };
    const timer = setTimeout(done, ms);
    undo = onAbort(signal, done);
  });
}
