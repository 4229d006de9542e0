/** `utl version`: prints the versions (spec/cli.md 9.6). */
import { oclifFlags } from "../../base-command.js";
import { writeOut } from "../../terminal.js";
import { UtlCommand, utlGlobalFlags } from "../../utl-command.js";
import { versionText } from "../../version.js";

const flags = {} as const;

export default class UtlVersion extends UtlCommand<typeof flags> {
  static override summary = "Prints the version of etcdutl";
  static override usage = "utl version";
  static override flags = oclifFlags({ ...utlGlobalFlags, ...flags });
  protected readonly tables = { own: flags };

  protected async execute(): Promise<void> {
    await writeOut(versionText("etcdutl"));
  }
}
