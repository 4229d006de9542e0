/** `auth status`: whether authentication is on (spec/cli.md 8.17). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";

const flags = {} as const;

export default class AuthStatus extends BaseCommand<typeof flags> {
  static override summary = "Returns authentication status";
  static override usage = "auth status";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    if (args.length > 0) throw badArguments("auth status command does not accept any arguments");
    await using session = await this.connect("authStatus");
    const response = await session.raw.auth.authStatus({}, session.deadline());
    await session.print({ kind: "authStatus", response });
  }
}
