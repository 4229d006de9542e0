/** `user revoke-role`: takes a role from a user (spec/cli.md 8.18). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class UserRevokeRole extends BaseCommand<typeof flags> {
  static override summary = "Revokes a role from a user";
  static override usage = "user revoke-role <user name> <role name>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [user, role] = args;
    if (user === undefined || role === undefined || args.length !== 2) {
      throw badArguments("user revoke-role requires user name and role name as its argument");
    }
    await using session = await this.connect("change");
    const response = await session.raw.auth.userRevokeRole({ name: user, role }, withoutLimit);
    await session.print({ kind: "change", response, message: `Role ${role} is revoked from user ${user}` });
  }
}
