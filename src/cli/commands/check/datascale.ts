/** `check datascale`: how much memory data takes (spec/cli.md 8.21). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { checkFlags } from "../../check/flags.js";
import { dataLoad } from "../../check/loads.js";
import { ExitCode, quietFailure } from "../../exit-code.js";

const flags = checkFlags("datascale");

export default class CheckDatascale extends BaseCommand<typeof flags> {
  static override summary =
    "Checks the memory usage of holding data for different workloads on a given server endpoint";
  static override description =
    "Writes the pairs of the load, deletes them, and says how much memory the first endpoint took for them.";
  static override usage = "check datascale [options]";
  static override examples = ["litectl check datascale --load=m --auto-compact"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ flags: values }: Call<typeof flags>): Promise<void> {
    const load = dataLoad(values.load);
    await using session = await this.connect();
    const { checkDatascale } = await import("../../check/datascale.js");
    if (!(await checkDatascale(session, load, values))) throw quietFailure(ExitCode.Error);
  }
}
