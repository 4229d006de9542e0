/** `lease list`: all leases there are (spec/cli.md 8.6). */
import { BaseCommand, oclifFlags } from "../../base-command.js";
import { ExitCode } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class LeaseList extends BaseCommand<typeof flags> {
  static override summary = "List all active leases";
  static override usage = "lease list";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute(): Promise<void> {
    await using session = await this.connect("leaseList");
    try {
      const response = await session.raw.lease.leaseLeases({}, withoutLimit);
      await session.print({ kind: "leaseList", response });
    } catch (error) {
      throw session.failure(error, ExitCode.BadConnection);
    }
  }
}
