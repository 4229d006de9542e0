/** `watch`: prints the events of keys, and may run a command for each (spec/cli.md 8.7). */
import type { WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import type { RawWatch } from "../../client/index.js";
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { runCommand } from "../exec.js";
import { ExitCode, Failure, quietFailure } from "../exit-code.js";
import { byteText } from "../input/byte-text.js";
import {
  parseWatchLine,
  type WatchEnvironment,
  type WatchOrder,
  watchEnvironment,
  watchFlags,
  watchOrder,
} from "../input/watch-request.js";
import { withoutLimit } from "../limits.js";
import { goQuote } from "../output/go-quote.js";
import type { Session } from "../session.js";
import { standardInput, writeError, writeOut } from "../terminal.js";

export default class Watch extends BaseCommand<typeof watchFlags> {
  static override summary = "Watches events stream on keys or prefixes";
  static override description =
    "Watches events stream on keys or prefixes.\n\n" +
    "After --, a command to run for every event, with ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and\n" +
    "ETCD_WATCH_VALUE in its environment; the last two also in base64 as ETCD_WATCH_KEY_BASE64 and ETCD_WATCH_VALUE_BASE64.";
  static override usage = "watch [options] [key] [range_end] [-- command [arguments...]]";
  static override examples = [
    "litectl watch foo",
    "litectl watch --prefix /config/ --rev 10",
    "litectl watch foo -- env",
  ];
  static override flags = oclifFlags(watchFlags);
  protected readonly tables = { own: watchFlags };

  protected async execute({ flags, ...line }: Call<typeof watchFlags>): Promise<void> {
    const env = watchEnvironment(process.env);
    if (flags.interactive) return this.interactive(env);
    const order = watchOrder(line, flags, env);
    await using session = await this.connect("watch");
    await follow(session, start(session, order), order.command);
    throw new Failure(ExitCode.Interrupted, "watch is canceled by the server");
  }

  /** Every line starts one more watch; they run side by side until the input ends. */
  private async interactive(env: WatchEnvironment): Promise<never> {
    await using session = await this.connect("watch");
    const watches: RawWatch[] = [];
    return await new Promise<never>((_, reject) => {
      const begin = (order: WatchOrder): void => {
        const watch = start(session, order);
        watches.push(watch);
        follow(session, watch, order.command).catch(reject);
      };
      readLines(env, begin, watches).catch(reject);
    });
  }
}

/** Throws Failure when the input ends, which is the only way to end but a signal. */
async function readLines(
  env: WatchEnvironment,
  begin: (order: WatchOrder) => void,
  watches: readonly RawWatch[],
): Promise<never> {
  for (let text = await standardInput.line(); text !== undefined; text = await standardInput.line()) {
    const line = parseWatchLine(byteText(text), env);
    if (line.kind === "watch") begin(line.order);
    else if (line.kind === "wrong") await writeError(line.message);
    else for (const watch of watches) watch.requestProgress();
  }
  throw new Failure(ExitCode.InvalidInput, "error reading watch request line: EOF");
}

function start(session: Session, { request }: WatchOrder): RawWatch {
  return session.raw.watch(request, { ...withoutLimit, requireLeader: true });
}

/** Prints what arrives until the server ends the watch. */
async function follow(session: Session, watch: RawWatch, command: readonly string[]): Promise<void> {
  for await (const answer of watch) {
    if (answer.created && !answer.canceled) continue;
    // A refused creation reaches etcd's users as an empty response.
    const response: WatchResponse = answer.created ? { ...refused, watchId: answer.watchId } : answer;
    if (answer.canceled) await writeError(`watch was canceled (${cancelReason(answer)})`);
    if (isProgress(answer)) await writeOut(`progress notify: ${answer.header?.revision ?? 0n}\n`);
    await session.print({ kind: "watch", response });
    if (command.length > 0) await runForEach(command, answer);
  }
}

const refused = {
  header: undefined,
  created: false,
  canceled: true,
  compactRevision: 0n,
  cancelReason: "",
  fragment: false,
  events: [],
};

function isProgress(answer: WatchResponse): boolean {
  return answer.events.length === 0 && !answer.canceled && answer.compactRevision === 0n;
}

function cancelReason({ compactRevision, cancelReason: reason }: WatchResponse): string {
  if (compactRevision !== 0n) return status.Compacted.message;
  return reason === "" ? status.FutureRev.message : reason;
}

/** One command after another. Throws Failure (1) as soon as one fails. */
async function runForEach(command: readonly string[], { header, events }: WatchResponse): Promise<void> {
  for (const { type, kv } of events) {
    const key = kv?.key ?? new Uint8Array();
    const value = kv?.value ?? new Uint8Array();
    const ending = await runCommand(command, {
      ...process.env,
      ETCD_WATCH_REVISION: `${header?.revision ?? 0n}`,
      ETCD_WATCH_EVENT_TYPE: type === 0 ? '"PUT"' : '"DELETE"',
      ETCD_WATCH_KEY: goQuote(key),
      ETCD_WATCH_VALUE: goQuote(value),
      ETCD_WATCH_KEY_BASE64: Buffer.from(key).toString("base64"),
      ETCD_WATCH_VALUE_BASE64: Buffer.from(value).toString("base64"),
    });
    if (ending.kind === "success") continue;
    await writeError(`command [${command.map((word) => goQuote(word)).join(" ")}] error (${ending.text})`);
    throw quietFailure(ExitCode.Error);
  }
}
