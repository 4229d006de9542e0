/** `downgrade validate`: asks whether a downgrade is possible (spec/cli.md 8.14). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { downgradeTarget } from "../../input/downgrade-target.js";

const flags = {} as const;

export default class DowngradeValidate extends BaseCommand<typeof flags> {
  static override summary = "Validate downgrade capability before starting downgrade";
  static override usage = "downgrade validate <TARGET_VERSION>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const version = downgradeTarget(args);
    await using session = await this.connect("downgrade");
    const response = await session.raw.maintenance.downgrade({ action: 0, version }, session.deadline());
    await session.print({ kind: "downgrade", response, message: "Downgrade validate success" });
  }
}
