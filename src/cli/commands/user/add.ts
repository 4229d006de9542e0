/** `user add`: creates a user, with or without a password (spec/cli.md 8.18). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { boolean, type FlagValues, text } from "../../flags.js";
import { withoutLimit } from "../../limits.js";
import { askNewPassword, readPasswordWord } from "../../passwords.js";

const flags = {
  interactive: boolean("ask for the password; otherwise read it from stdin", { initial: true }),
  "new-user-password": text("the password of the new user"),
  "no-password": boolean("create a user without a password (for certificates)"),
} as const;

export default class UserAdd extends BaseCommand<typeof flags> {
  static override summary = "Adds a new user";
  static override usage = "user add <user name or user:password> [options]";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: given }: Call<typeof flags>): Promise<void> {
    const [argument] = args;
    if (argument === undefined || args.length !== 1) {
      throw badArguments("user add command requires user name as its argument");
    }
    const { name, password } = await newUser(argument, given);
    await using session = await this.connect("change");
    const request = { name, password, options: { noPassword: given["no-password"] } };
    const response = await session.raw.auth.userAdd(request, withoutLimit);
    await session.print({ kind: "change", response, message: `User ${name} created` });
  }
}

async function newUser(argument: string, given: FlagValues<typeof flags>) {
  if (given["no-password"]) return { name: argument, password: "" };
  if (given["new-user-password"] !== "") return { name: argument, password: given["new-user-password"] };
  const colon = argument.indexOf(":");
  if (colon === 0) throw badArguments("empty user name is not allowed");
  if (colon > 0) return { name: argument.slice(0, colon), password: argument.slice(colon + 1) };
  return { name: argument, password: await (given.interactive ? askNewPassword(argument) : readPasswordWord()) };
}
