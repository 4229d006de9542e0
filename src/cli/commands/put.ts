/** `put`: sets a key; without a value all of stdin is the value (spec/cli.md 8.2). */
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { putFlags, putRequest } from "../input/put-request.js";
import { standardInput, writeLog } from "../terminal.js";

export default class Put extends BaseCommand<typeof putFlags> {
  static override summary = "Puts the given key into the store";
  static override description =
    "Puts the given key into the store.\n\n" +
    "A value or key that begins with '-' would be taken as a flag; put -- before the arguments then.\n" +
    "Without a value, everything on stdin is the value, line ends included.";
  static override usage = "put [options] <key> <value>\n  etcdctl put [options] <key> < file";
  static override examples = ["litectl put foo bar", "litectl put -- -key -value", "litectl put config < config.yaml"];
  static override flags = oclifFlags(putFlags);
  protected readonly tables = { own: putFlags };

  protected async execute({ args, flags }: Call<typeof putFlags>): Promise<void> {
    const request = await putRequest(args, flags, () => standardInput.rest());
    await using session = await this.connect("put");
    if (request.ignoreValue && !request.ignoreLease && request.lease === 0n) {
      await writeLog("info", "--ignore-value alone detaches the key from its lease; --ignore-lease keeps it");
    }
    const response = await session.raw.kv.put(request, session.deadline());
    await session.print({ kind: "put", response });
  }
}
