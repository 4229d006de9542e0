/** What the code under test must not touch: real time, real chance, real timers. Using them fails the run. */
import { runningProcess } from "./process.js";
import { Violation } from "./world.js";

type Restore = () => void;

/** Replaces the world's globals until the returned function is called. `setImmediate` becomes an event of the process. */
export function setTraps(onTrap: (violation: Violation) => void): Restore {
  const trapped = (name: string) => (): never => {
    const violation = new Violation("determinism", `${name} was used by the code under test`);
    onTrap(violation);
    throw violation;
  };
  const immediate = (callback: () => void): unknown => {
    const process = runningProcess();
    if (process === undefined) return trapped("setImmediate")();
    return process.after(0, callback);
  };
  const restores = [
    replace(globalThis, "setTimeout", trapped("setTimeout")),
    replace(globalThis, "setInterval", trapped("setInterval")),
    replace(globalThis, "setImmediate", immediate),
    replace(globalThis, "clearImmediate", clearSimulated),
    replace(Date, "now", trapped("Date.now")),
    replace(Math, "random", trapped("Math.random")),
    replace(performance, "now", trapped("performance.now")),
  ];
  return () => {
    for (const restore of restores) restore();
  };
}

function clearSimulated(event: { run?: unknown } | undefined): void {
  if (event !== undefined) event.run = undefined;
}

function replace(target: object, name: string, value: unknown): Restore {
  const original = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
  return () => {
    if (original === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, original);
  };
}
