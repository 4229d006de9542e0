/** `role add`: creates a role (spec/cli.md 8.19). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class RoleAdd extends BaseCommand<typeof flags> {
  static override summary = "Adds a new role";
  static override usage = "role add <role name>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [name] = args;
    if (name === undefined || args.length !== 1)
      throw badArguments("role add command requires role name as its argument");
    await using session = await this.connect("change");
    const response = await session.raw.auth.roleAdd({ name }, withoutLimit);
    await session.print({ kind: "change", response, message: `Role ${name} created` });
  }
}
