/** `user passwd`: gives a user another password (spec/cli.md 8.18). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { boolean } from "../../flags.js";
import { withoutLimit } from "../../limits.js";
import { askNewPassword, readPasswordWord } from "../../passwords.js";

const flags = {
  interactive: boolean("ask for the password; otherwise read it from stdin", { initial: true }),
} as const;

export default class UserPasswd extends BaseCommand<typeof flags> {
  static override summary = "Changes password of user";
  static override usage = "user passwd <user name> [options]";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { interactive } }: Call<typeof flags>): Promise<void> {
    const [name] = args;
    if (name === undefined || args.length !== 1) {
      throw badArguments("user passwd command requires user name as its argument");
    }
    const password = await (interactive ? askNewPassword(name) : readPasswordWord());
    await using session = await this.connect("change");
    const response = await session.raw.auth.userChangePassword({ name, password }, withoutLimit);
    await session.print({ kind: "change", response, message: "Password updated" });
  }
}
