/** `del`: removes a key or a range of keys (spec/cli.md 8.3). */
import { setTimeout as sleep } from "node:timers/promises";
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { ExitCode, quietFailure } from "../exit-code.js";
import { boolean } from "../flags.js";
import { deleteFlags, deletion, pauseMs } from "../input/delete-request.js";
import { confirm } from "../prompt.js";
import { writeError } from "../terminal.js";

const flags = {
  ...deleteFlags,
  yes: boolean("do not ask before everything is deleted (only a terminal is asked)"),
} as const;

export default class Del extends BaseCommand<typeof flags> {
  static override summary = "Removes the specified key or range of keys [key, range_end)";
  static override usage = "del [options] <key> [range_end]";
  static override examples = ["litectl del foo", "litectl del --prefix /tmp/", "litectl del a c --range"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: given }: Call<typeof flags>): Promise<void> {
    const { request, warning } = deletion(args, given);
    if (warning !== undefined) {
      await writeError(warning);
      await sleep(pauseMs);
    }
    const isEverything = args[0] === "" && (given.prefix || given["from-key"]);
    if (isEverything && !given.yes && process.stdin.isTTY && process.stdout.isTTY) {
      if (!(await confirm("Delete all keys?"))) throw quietFailure(ExitCode.Error);
    }
    await using session = await this.connect("deleteRange");
    const response = await session.raw.kv.deleteRange(request, session.deadline());
    await session.print({ kind: "deleteRange", response });
  }
}
