/** `alarm disarm`: takes back every alarm there is, one by one (spec/cli.md 8.8). */
import type { AlarmMember } from "../../../../proto/gen/etcd/rpc.js";
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";

const flags = {} as const;
const actions = { get: 0, deactivate: 2 } as const;

export default class AlarmDisarm extends BaseCommand<typeof flags> {
  static override summary = "Disarms all alarms";
  static override usage = "alarm disarm";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    if (args.length > 0) throw badArguments("alarm disarm command accepts no arguments");
    await using session = await this.connect("alarm");
    const { maintenance } = session.raw;
    const { alarms: raised } = await maintenance.alarm({ action: actions.get }, session.deadline());
    const alarms: AlarmMember[] = [];
    for (const { memberID, alarm } of raised) {
      const answer = await maintenance.alarm({ action: actions.deactivate, memberID, alarm }, session.deadline());
      alarms.push(...answer.alarms);
    }
    // The answers of several calls have no common header, so the real tool prints none.
    await session.print({ kind: "alarm", response: { header: undefined, alarms } });
  }
}
