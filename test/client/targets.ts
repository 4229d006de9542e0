/** The servers the SDK is tested against. Another one is one more line in the list. */
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
  start(options?: RealEtcdOptions): Promise<RealEtcd>;
  /** A cluster of so many members. */
  startCluster(size: number): Promise<RealEtcd[]>;
}

export const targets: readonly SdkTarget[] = [
  { name: "etcd", missing: realEtcdMissing, start: startRealEtcd, startCluster: startRealCluster },
];

/** The name of a test block, with the reason if it is skipped. */
export function blockName(what: string, { name, missing }: SdkTarget): string {
  return missing === undefined ? `${what} against ${name}` : `${what} against ${name} (skipped: ${missing})`;
}
