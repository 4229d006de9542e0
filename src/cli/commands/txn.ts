/** `txn`: compares and requests from stdin, carried out as one (spec/cli.md 8.4). */
import { setTimeout as sleep } from "node:timers/promises";
import type { RequestOp } from "../../../proto/gen/etcd/rpc.js";
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { badArguments, ExitCode, Failure } from "../exit-code.js";
import { boolean } from "../flags.js";
import { byteText } from "../input/byte-text.js";
import { pauseMs } from "../input/delete-request.js";
import { parseCompare, parseRequest } from "../input/txn-language.js";
import { withoutLimit } from "../limits.js";
import { standardInput, writeError, writeOut } from "../terminal.js";

const flags = { interactive: boolean("show prompts", { short: "i" }) } as const;

export default class Txn extends BaseCommand<typeof flags> {
  static override summary = "Txn processes all the requests in one transaction";
  static override description =
    "Reads compares, the requests for success and the requests for failure from stdin, each section ended by a blank\n" +
    'line. Compares look like mod("key") > "0", with the targets create, mod, ver, val and lease; requests are\n' +
    "put, get and del with their arguments and flags.";
  static override usage = "txn [options]";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { interactive } }: Call<typeof flags>): Promise<void> {
    if (args.length > 0) throw badArguments("txn command does not accept argument");
    const prompt = (text: string): Promise<void> => (interactive ? writeOut(`${text}\n`) : Promise.resolve());
    await prompt("compares:");
    const compare = await section((line) => Promise.resolve(parseCompare(line)));
    await prompt("success requests (get, put, del):");
    const success = await section(requestOp);
    await prompt("failure requests (get, put, del):");
    const failure = await section(requestOp);
    await using session = await this.connect("txn");
    const response = await session.raw.kv.txn({ compare, success, failure }, withoutLimit);
    await session.print({ kind: "txn", response });
  }
}

/** The lines up to a blank one, parsed as they come so that a mistake is told at once. */
async function section<T>(parse: (line: string) => Promise<T>): Promise<T[]> {
  const parsed: T[] = [];
  for (;;) {
    const line = await standardInput.line();
    if (line === undefined) throw new Failure(ExitCode.InvalidInput, "EOF");
    const text = byteText(line).trim();
    if (text === "") return parsed;
    parsed.push(await parse(text));
  }
}

async function requestOp(line: string): Promise<RequestOp> {
  const { op, warning } = await parseRequest(line);
  if (warning !== undefined) {
    await writeError(warning);
    await sleep(pauseMs);
  }
  return op;
}
