/** `utl migrate`: there is one storage version here, and nothing to migrate (spec/cli.md 9.5). */
import { type Call, oclifFlags } from "../../base-command.js";
import { badFeature } from "../../exit-code.js";
import { boolean, text } from "../../flags.js";
import { targetVersion } from "../../input/storage-version.js";
import { writeLog } from "../../terminal.js";
import { offline, UtlCommand, utlGlobalFlags } from "../../utl-command.js";

const flags = {
  "data-dir": text("data directory of a member that does not run (required)"),
  force: boolean("accepted and without effect: there is no WAL that could need a newer version"),
  "target-version": text("storage version to migrate to, X.Y (required)"),
} as const;

export default class UtlMigrate extends UtlCommand<typeof flags> {
  static override summary =
    "Migrates schema of etcd data dir files to make them compatible with different etcd version";
  static override usage = "utl migrate --data-dir <directory> --target-version <X.Y>";
  static override description =
    "The SQLite store of litecd has one storage version, which is confirmed; every other one is refused with exit code 4.\n" +
    "Older files of litecd are brought up to date when the member starts.";
  static override flags = oclifFlags({ ...utlGlobalFlags, ...flags });
  protected readonly tables = { own: flags };

  protected async execute({ flags: values }: Call<typeof flags>): Promise<void> {
    await this.requireFlags("data-dir", "target-version");
    const target = targetVersion(values["target-version"]);
    const current = await offline((face) => face.storageVersionOf(values["data-dir"]));
    if (!current.startsWith(`${target}.`)) {
      throw badFeature(
        `litecd's SQLite store has storage version ${current} only, and cannot be migrated to ${target}`,
      );
    }
    await writeLog("info", "storage version up-to-date", { "storage-version": current });
  }
}
