/** `snapshot restore`: etcdutl's command under etcdctl's name for it, as 3.5 had it (spec/cli.md 9.7, 12). */
import type { Call } from "../../base-command.js";
import { type FlagTable, globalFlags } from "../../flags.js";
import { tellDeprecated } from "../../utl-command.js";
import UtlSnapshotRestore, { type RestoreFlags } from "../utl/snapshot/restore.js";

export default class SnapshotRestore extends UtlSnapshotRestore {
  static override summary = "[deprecated] Restores an etcd member snapshot to an etcd directory";
  static override usage = "snapshot restore <filename> [options]";
  protected override readonly globals: FlagTable = globalFlags;

  protected override async execute(call: Call<RestoreFlags>): Promise<void> {
    await tellDeprecated("snapshot restore");
    await super.execute(call);
  }
}
