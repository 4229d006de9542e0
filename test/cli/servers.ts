/** The servers that commands are tried on, as processes: ours, and a real etcd where there is one. */
import { etcdIn, litecd, type Program } from "../support/member.js";
import { realEtcdDirectory, realEtcdMissing } from "../support/real-etcd.js";

export interface ServerTarget {
  readonly name: string;
  readonly program: Program;
  /** Why it cannot be tried here. */
  readonly missing: string | undefined;
}

export const serverTargets: readonly ServerTarget[] = [
  { name: "litecd", program: litecd, missing: undefined },
  { name: "etcd", program: etcdIn(realEtcdDirectory ?? ""), missing: realEtcdMissing },
];
