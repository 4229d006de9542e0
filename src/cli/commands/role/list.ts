/** `role list`: the names of all roles (spec/cli.md 8.19). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class RoleList extends BaseCommand<typeof flags> {
  static override summary = "Lists all roles";
  static override usage = "role list";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    if (args.length > 0) throw badArguments("role list command requires no arguments");
    await using session = await this.connect("roleList");
    const response = await session.raw.auth.roleList({}, withoutLimit);
    await session.print({ kind: "roleList", response });
  }
}
