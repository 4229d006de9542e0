/** `lease timetolive`: how long a lease lives, and what hangs on it (spec/cli.md 8.6). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments, ExitCode } from "../../exit-code.js";
import { boolean } from "../../flags.js";
import { leaseIdArgument } from "../../input/ids.js";
import { withoutLimit } from "../../limits.js";

const flags = { keys: boolean("get the keys attached to this lease") } as const;

export default class LeaseTimeToLive extends BaseCommand<typeof flags> {
  static override summary = "Get lease information";
  static override usage = "lease timetolive <leaseID> [options]";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { keys } }: Call<typeof flags>): Promise<void> {
    const [text] = args;
    if (text === undefined || args.length !== 1) {
      throw badArguments("lease timetolive command needs lease ID as argument");
    }
    const ID = leaseIdArgument(text);
    await using session = await this.connect("leaseTimeToLive");
    try {
      const response = await session.raw.lease.leaseTimeToLive({ ID, keys }, withoutLimit);
      await session.print({ kind: "leaseTimeToLive", response, withKeys: keys });
    } catch (error) {
      throw session.failure(error, ExitCode.BadConnection);
    }
  }
}
