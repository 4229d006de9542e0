/** `snapshot status`: etcdutl's command under etcdctl's name for it, as 3.5 had it (spec/cli.md 9.7, 12). */
import { type Call, oclifFlags } from "../../base-command.js";
import { type FlagTable, globalFlags } from "../../flags.js";
import { tellDeprecated } from "../../utl-command.js";
import UtlSnapshotStatus, { type StatusFlags } from "../utl/snapshot/status.js";

export default class SnapshotStatus extends UtlSnapshotStatus {
  static override summary = "[deprecated] Gets backend snapshot status of a given file";
  static override usage = "snapshot status <filename>";
  static override flags = oclifFlags({});
  protected override readonly globals: FlagTable = globalFlags;

  protected override async execute(call: Call<StatusFlags>): Promise<void> {
    await tellDeprecated("snapshot status");
    await super.execute(call);
  }
}
