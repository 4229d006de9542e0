/** `check perf`: whether a cluster keeps up with a load (spec/cli.md 8.21). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { checkFlags } from "../../check/flags.js";
import { perfLoad } from "../../check/loads.js";
import { ExitCode, quietFailure } from "../../exit-code.js";

const flags = checkFlags("perf");

export default class CheckPerf extends BaseCommand<typeof flags> {
  static override summary = "Checks the performance of the etcd cluster";
  static override description =
    "Writes for a minute at the rate of the load, deletes what it wrote, and says whether the cluster kept up.";
  static override usage = "check perf [options]";
  static override examples = ["litectl check perf --load=m --auto-compact"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ flags: values }: Call<typeof flags>): Promise<void> {
    const load = perfLoad(values.load);
    await using session = await this.connect();
    const { checkPerf } = await import("../../check/perf.js");
    if (!(await checkPerf(session, load, values))) throw quietFailure(ExitCode.Error);
  }
}
