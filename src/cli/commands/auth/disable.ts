/** `auth disable`: switches authentication off (spec/cli.md 8.17). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { writeOut } from "../../terminal.js";

const flags = {} as const;

export default class AuthDisable extends BaseCommand<typeof flags> {
  static override summary = "Disables authentication";
  static override usage = "auth disable";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    if (args.length > 0) throw badArguments("auth disable command does not accept any arguments");
    await using session = await this.connect();
    await session.raw.auth.authDisable({}, session.deadline());
    await writeOut("Authentication Disabled\n");
  }
}
