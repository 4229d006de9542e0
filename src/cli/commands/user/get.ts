/** `user get`: the roles of a user, with `--detail` also what they permit (spec/cli.md 8.18). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { boolean } from "../../flags.js";
import { withoutLimit } from "../../limits.js";
import { writeOut } from "../../terminal.js";

const flags = { detail: boolean("show the permissions of the roles granted to the user") } as const;

export default class UserGet extends BaseCommand<typeof flags> {
  static override summary = "Gets detailed information of a user";
  static override usage = "user get <user name> [options]";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { detail } }: Call<typeof flags>): Promise<void> {
    const [user] = args;
    if (user === undefined || args.length !== 1) {
      throw badArguments("user get command requires user name as its argument");
    }
    await using session = await this.connect(detail ? "roleGet" : "userGet");
    const { auth } = session.raw;
    const response = await auth.userGet({ name: user }, withoutLimit);
    if (!detail) return await session.print({ kind: "userGet", response, user });
    // Text and records alternate whatever the format: a transcript of the real tool holds it.
    await writeOut(`User: ${user}\n`);
    for (const role of response.roles) {
      await writeOut("\n");
      await session.print({ kind: "roleGet", response: await auth.roleGet({ role }, withoutLimit), role });
    }
  }
}
