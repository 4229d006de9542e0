/** `user grant-role`: gives a user a role (spec/cli.md 8.18). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class UserGrantRole extends BaseCommand<typeof flags> {
  static override summary = "Grants a role to a user";
  static override usage = "user grant-role <user name> <role name>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [user, role] = args;
    if (user === undefined || role === undefined || args.length !== 2) {
      throw badArguments("user grant command requires user name and role name as its argument");
    }
    await using session = await this.connect("change");
    const response = await session.raw.auth.userGrantRole({ user, role }, withoutLimit);
    await session.print({ kind: "change", response, message: `Role ${role} is granted to user ${user}` });
  }
}
