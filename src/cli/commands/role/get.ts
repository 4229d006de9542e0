/** `role get`: the permissions of a role (spec/cli.md 8.19). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class RoleGet extends BaseCommand<typeof flags> {
  static override summary = "Gets detailed information of a role";
  static override usage = "role get <role name>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [role] = args;
    if (role === undefined || args.length !== 1)
      throw badArguments("role get command requires role name as its argument");
    await using session = await this.connect("roleGet");
    const response = await session.raw.auth.roleGet({ role }, withoutLimit);
    await session.print({ kind: "roleGet", response, role });
  }
}
