/** `downgrade cancel`: stops a downgrade; arguments are ignored (spec/cli.md 8.14). */
import { BaseCommand, oclifFlags } from "../../base-command.js";

const flags = {} as const;

export default class DowngradeCancel extends BaseCommand<typeof flags> {
  static override summary = "Cancel the ongoing downgrade action to cluster";
  static override usage = "downgrade cancel";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute(): Promise<void> {
    await using session = await this.connect("downgrade");
    const response = await session.raw.maintenance.downgrade({ action: 2 }, session.deadline());
    await session.print({ kind: "downgrade", response, message: "Downgrade cancel success" });
  }
}
