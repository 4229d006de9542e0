/** What a cluster in memory has instead of chance and of a disk that takes its time. */
import { closeSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SnapshotFiles } from "../../../src/server/replica/types.js";
import type { Random } from "../../../src/server/runtime/random.js";
import { removeDatabase } from "../../../src/server/storage/files.js";

/** The same numbers in every run. */
export function seededRandom(seed: number): Random {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  next();
  return {
    below: (bound) => Math.floor((next() / 2 ** 32) * bound),
    bytes: (length) => Uint8Array.from({ length }, () => next() >>> 24),
  };
}

/** Files that are written at once: the world's time does not wait for the disk. */
export function filesIn(dir: string): SnapshotFiles {
  return {
    names: () => readdirSync(dir),
    remove: (name) => removeDatabase(join(dir, name)),
    create: async (name) => {
      removeDatabase(join(dir, name));
      const file = openSync(join(dir, name), "wx");
      return {
        write: async (chunk) => void writeSync(file, chunk),
        finish: async () => closeSync(file),
        discard: async () => {
          closeSync(file);
          removeDatabase(join(dir, name));
        },
      };
    },
  };
}
