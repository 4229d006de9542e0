/** `utl snapshot status`: what a snapshot file holds (spec/cli.md 9.1). */
import { type Call, oclifFlags } from "../../../base-command.js";
import { badArguments } from "../../../exit-code.js";
import { writeOut } from "../../../terminal.js";
import { offline, UtlCommand, utlGlobalFlags } from "../../../utl-command.js";

const flags = {} as const;
export type StatusFlags = typeof flags;

export default class UtlSnapshotStatus extends UtlCommand<typeof flags> {
  static override summary = "Gets backend snapshot status of a given file";
  static override usage = "utl snapshot status <filename>";
  static override description =
    "Checks a snapshot and prints its hash, revision, number of keys, size and storage version. The hash is the same for\n" +
    "equal states, whatever their files look like. A file of etcd's own (bbolt) is refused with exit code 4.";
  static override flags = oclifFlags({ ...utlGlobalFlags, ...flags });
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [path] = args;
    if (path === undefined || args.length !== 1) {
      throw badArguments("snapshot status requires exactly one argument");
    }
    const printer = await this.printer("snapshotStatus");
    const status = await offline((face) => face.snapshotStatus(path), "stat");
    await writeOut(printer.print({ kind: "snapshotStatus", status }));
  }
}
