/** `alarm list`: the alarms that are raised (spec/cli.md 8.8). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";

const flags = {} as const;

export default class AlarmList extends BaseCommand<typeof flags> {
  static override summary = "Lists all alarms";
  static override usage = "alarm list";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    if (args.length > 0) throw badArguments("alarm list command accepts no arguments");
    await using session = await this.connect("alarm");
    const response = await session.raw.maintenance.alarm({ action: 0 }, session.deadline());
    await session.print({ kind: "alarm", response });
  }
}
