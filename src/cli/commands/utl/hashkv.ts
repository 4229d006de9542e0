/** `utl hashkv`: the key history's hash of a file or of a member that does not run (spec/cli.md 9.3). */
import { type Call, oclifFlags } from "../../base-command.js";
import { integer } from "../../flags.js";
import { writeOut } from "../../terminal.js";
import { offline, UtlCommand, utlGlobalFlags } from "../../utl-command.js";

const flags = { rev: integer("hash the history up to this revision; 0 is the latest") } as const;

export default class UtlHashKv extends UtlCommand<typeof flags> {
  static override summary = "Prints the KV history hash of a given file";
  static override usage = "utl hashkv <filename>";
  static override description =
    "Prints what `etcdctl endpoint hashkv` would, of a snapshot, a state file, or the data directory of a member that does\n" +
    "not run. A file of etcd's own (bbolt) is refused with exit code 4.";
  static override flags = oclifFlags({ ...utlGlobalFlags, ...flags });
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { rev } }: Call<typeof flags>): Promise<void> {
    const [path] = args;
    if (path === undefined || args.length !== 1) throw await this.refusal(`accepts 1 arg(s), received ${args.length}`);
    const printer = await this.printer("hashKv");
    const hash = await offline((face) => face.hashKvAt(path, Number(rev)), "stat");
    await writeOut(printer.print({ kind: "hashKv", hash }));
  }
}
