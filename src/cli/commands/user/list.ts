/** `user list`: the names of all users (spec/cli.md 8.18). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class UserList extends BaseCommand<typeof flags> {
  static override summary = "Lists all users";
  static override usage = "user list";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    if (args.length > 0) throw badArguments("user list command requires no arguments");
    await using session = await this.connect("userList");
    const response = await session.raw.auth.userList({}, withoutLimit);
    await session.print({ kind: "userList", response });
  }
}
