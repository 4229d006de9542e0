/** `auth enable`: switches authentication on; gives root its role first if only that is missing (spec/cli.md 8.17). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import type { Session } from "../../session.js";
import { writeOut } from "../../terminal.js";

const flags = {} as const;
const root = "root";

export default class AuthEnable extends BaseCommand<typeof flags> {
  static override summary = "Enables authentication";
  static override usage = "auth enable";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    if (args.length > 0) throw badArguments("auth enable command does not accept any arguments");
    await using session = await this.connect();
    await enable(session);
    await writeOut("Authentication Enabled\n");
  }
}

async function enable(session: Session): Promise<void> {
  const { auth } = session.raw;
  try {
    await auth.authEnable({}, session.deadline());
  } catch (error) {
    if (!session.isError(error, "RootRoleNotExist")) throw error;
    await makeRootRole(session);
    await auth.authEnable({}, session.deadline());
  }
}

/** The role may be there already and only not granted. */
async function makeRootRole(session: Session): Promise<void> {
  const { auth } = session.raw;
  try {
    await auth.roleAdd({ name: root }, session.deadline());
  } catch (error) {
    if (!session.isError(error, "RoleAlreadyExist")) throw error;
  }
  await auth.userGrantRole({ user: root, role: root }, session.deadline());
}
