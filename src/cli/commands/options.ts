/** `options`: the flags that every command accepts (spec/cli.md 8.22). */
import { BaseCommand, oclifFlags } from "../base-command.js";
import { globalFlags } from "../flags.js";
import { flagLines } from "../output/help.js";
import { writeOut } from "../terminal.js";

const flags = {} as const;

export default class Options extends BaseCommand<typeof flags> {
  static override summary = "Prints the flags that every command accepts";
  static override usage = "options";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute(): Promise<void> {
    await writeOut(`The following options can be passed to any command:\n\n${flagLines(globalFlags)}`);
  }
}
