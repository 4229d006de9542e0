/** The servers the SDK is tested against. Another one is one more line in the list. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  type RealEtcd,
  type RealEtcdOptions,
  realEtcdMissing,
  startRealCluster,
  startRealEtcd,
} from "../support/real-etcd.js";

export interface SdkTarget {
  readonly name: string;
  /** Why the tests are skipped here; undefined if they run. */
  readonly missing: string | undefined;
  /** What the server cannot do yet; tests that need it are skipped. */
  readonly lacks: readonly ("authentication" | "TLS")[];
  start(options?: RealEtcdOptions): Promise<RealEtcd>;
  /** A cluster of so many members. */
  startCluster(size: number): Promise<RealEtcd[]>;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const litecd = { command: process.execPath, args: [`${root}bin/litecd.js`] };
const built = existsSync(`${root}dist/server/main.js`);

export const targets: readonly SdkTarget[] = [
  { name: "etcd", missing: realEtcdMissing, lacks: [], start: startRealEtcd, startCluster: startRealCluster },
  {
    name: "litecd",
    missing: built ? undefined : "dist is not built: run npm run build",
    lacks: [],
    start: (options) => startRealEtcd({ ...options, program: litecd }),
    startCluster: (size) => startRealCluster(size, { program: litecd }),
  },
];

/** The name of a test block, with the reason if it is skipped. */
export function blockName(what: string, { name, missing }: SdkTarget): string {
  return missing === undefined ? `${what} against ${name}` : `${what} against ${name} (skipped: ${missing})`;
}

/** Whether a block that needs something of the target is to be skipped. */
export function skips({ missing, lacks }: SdkTarget, need?: SdkTarget["lacks"][number]): boolean {
  return missing !== undefined || (need !== undefined && lacks.includes(need));
}
