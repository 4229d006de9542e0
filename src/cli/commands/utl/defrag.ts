/** `utl defrag`: gives back what a member that does not run has on disk and does not use (spec/cli.md 9.4). */
import { type Call, oclifFlags } from "../../base-command.js";
import { Failure } from "../../exit-code.js";
import { text } from "../../flags.js";
import { writeLog } from "../../terminal.js";
import { offline, UtlCommand, utlGlobalFlags } from "../../utl-command.js";

const flags = { "data-dir": text("data directory of a member that does not run (required)") } as const;

export default class UtlDefrag extends UtlCommand<typeof flags> {
  static override summary = "Defragments the storage of the etcd";
  static override usage = "utl defrag --data-dir <directory>";
  static override description =
    "Waits --timeout for a member that has the directory open. A directory of etcd's own (bbolt) is refused with exit code 4.";
  static override flags = oclifFlags({ ...utlGlobalFlags, ...flags });
  protected readonly tables = { own: flags };

  protected async execute({ flags: { "data-dir": dataDir } }: Call<typeof flags>): Promise<void> {
    await this.requireFlags("data-dir");
    try {
      await offline((face) => face.defragDirectory(dataDir, { waitMs: this.waitMs }));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const message = `Failed to defragment etcd data[${dataDir}] (${error.message})`;
      throw new Failure(error.exitCode, message, { cause: error });
    }
    await writeLog("info", "finished defragmenting directory", { directory: dataDir });
  }
}
