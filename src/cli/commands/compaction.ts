/** `compaction`: drops the history before a revision (spec/cli.md 8.5). */
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { badArguments, ExitCode, Failure } from "../exit-code.js";
import { boolean } from "../flags.js";
import { InputError, parseInteger } from "../input/go-number.js";
import { writeOut } from "../terminal.js";

const flags = { physical: boolean("wait until the old revisions are physically removed") } as const;

export default class Compaction extends BaseCommand<typeof flags> {
  static override summary = "Compacts the event history in etcd";
  static override usage = "compaction [options] <revision>";
  static override examples = ["litectl compaction 1000 --physical"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { physical } }: Call<typeof flags>): Promise<void> {
    const [text] = args;
    if (text === undefined || args.length !== 1) throw badArguments("compaction command needs 1 argument");
    const revision = revisionOf(text);
    await using session = await this.connect();
    await session.raw.kv.compact({ revision, physical }, session.deadline());
    await writeOut(`compacted revision ${revision}\n`);
  }
}

/** Unlike other arguments, a bad revision exits with 1. */
function revisionOf(text: string): bigint {
  try {
    return parseInteger(text, { base: 10, sign: "signed" });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new Failure(ExitCode.Error, error.message);
  }
}
