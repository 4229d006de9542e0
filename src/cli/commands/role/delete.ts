/** `role delete`: removes a role (spec/cli.md 8.19). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class RoleDelete extends BaseCommand<typeof flags> {
  static override summary = "Deletes a role";
  static override usage = "role delete <role name>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [role] = args;
    if (role === undefined || args.length !== 1)
      throw badArguments("role delete command requires role name as its argument");
    await using session = await this.connect("change");
    const response = await session.raw.auth.roleDelete({ role }, withoutLimit);
    await session.print({ kind: "change", response, message: `Role ${role} deleted` });
  }
}
