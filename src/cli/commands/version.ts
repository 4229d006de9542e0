/** `version`: prints the versions and asks no server (spec/cli.md 8.22). */
import { BaseCommand, oclifFlags } from "../base-command.js";
import { writeOut } from "../terminal.js";
import { versionText } from "../version.js";

const flags = {} as const;

export default class Version extends BaseCommand<typeof flags> {
  static override summary = "Prints the version of etcdctl";
  static override usage = "version";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute(): Promise<void> {
    await writeOut(versionText());
  }
}
