/** `user delete`: removes a user (spec/cli.md 8.18). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { withoutLimit } from "../../limits.js";

const flags = {} as const;

export default class UserDelete extends BaseCommand<typeof flags> {
  static override summary = "Deletes a user";
  static override usage = "user delete <user name>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [name] = args;
    if (name === undefined || args.length !== 1)
      throw badArguments("user delete command requires user name as its argument");
    await using session = await this.connect("change");
    const response = await session.raw.auth.userDelete({ name }, withoutLimit);
    await session.print({ kind: "change", response, message: `User ${name} deleted` });
  }
}
