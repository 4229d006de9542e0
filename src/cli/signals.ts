/** SIGINT and SIGTERM for the commands that clean up before they end (spec/cli.md 5.3). Others are simply killed. */

const names = ["SIGINT", "SIGTERM"] as const;

/** Aborts with the first signal instead of dying of it; the second one kills as usual. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    for (const other of names) process.off(other, stop);
    controller.abort(name);
  };
  for (const name of names) process.on(name, stop);
  return controller.signal;
}

/** Runs `act` right before a signal kills the process, which it does all the same. Returns what takes that back. */
export function beforeDying(act: () => void): () => void {
  const die = (name: NodeJS.Signals): void => {
    act();
    forget();
    process.kill(process.pid, name);
  };
  const forget = (): void => {
    for (const name of names) process.off(name, die);
  };
  for (const name of names) process.on(name, die);
  return forget;
}

/** Ends the process by the signal that {@link interruption} has caught, for what had to be cleaned up is clean. */
export function dieOf(signal: AbortSignal): void {
  process.kill(process.pid, signal.reason as NodeJS.Signals);
}

function ignore(): void {}

/** Signals are for the command that runs meanwhile, which a terminal's Ctrl-C reaches too. */
export async function leavingSignalsAlone<T>(work: () => Promise<T>): Promise<T> {
  for (const name of names) process.on(name, ignore);
  try {
    return await work();
  } finally {
    for (const name of names) process.off(name, ignore);
  }
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<"interrupted"> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve("interrupted");
    signal.addEventListener("abort", () => resolve("interrupted"), { once: true });
  });
}
