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
    await new Follower(session, order).run();
    throw new Failure(ExitCode.Interrupted, "watch is canceled by the server");
  }

  /** Every line starts one more watch; they run side by side until the input ends. */
  private async interactive(env: WatchEnvironment): Promise<never> {
    await using session = await this.connect("watch");
    const followers: Follower[] = [];
    return await new Promise<never>((_, reject) => {
      const begin = (order: WatchOrder): void => {
        const follower = new Follower(session, order);
        followers.push(follower);
        follower.run().catch(reject);
      };
      readLines(env, begin, followers).catch(reject);
    });
  }
}

/** Throws Failure when the input ends, which is the only way to end but a signal. */
async function readLines(
  env: WatchEnvironment,
  begin: (order: WatchOrder) => void,
  followers: readonly Follower[],
): Promise<never> {
  for (let text = await standardInput.line(); text !== undefined; text = await standardInput.line()) {
    const line = parseWatchLine(byteText(text), env);
    if (line.kind === "watch") begin(line.order);
    else if (line.kind === "wrong") await writeError(line.message);
    else for (const follower of followers) follower.askProgress();
  }
  throw new Failure(ExitCode.InvalidInput, "error reading watch request line: EOF");
}

/** One watch on its way to stdout. */
class Follower {
  private readonly session: Session;
  private readonly order: WatchOrder;
  private readonly watch: RawWatch;
  /** Progress messages that were asked for and have not come. */
  private asked = 0;

  constructor(session: Session, order: WatchOrder) {
    this.session = session;
    this.order = order;
    this.watch = session.raw.watch(order.request, { ...withoutLimit, requireLeader: true });
  }

  askProgress(): void {
    this.asked++;
    this.watch.requestProgress();
  }

  /** Prints what arrives until the server ends the watch. */
  async run(): Promise<void> {
    for await (const answer of this.watch) {
      if (answer.canceled) await this.ended(answer);
      else if (answer.events.length > 0) await this.changed(answer);
      else if (!answer.created) await this.progressed(answer);
    }
  }

  private async changed(answer: WatchResponse): Promise<void> {
    await this.session.print({ kind: "watch", response: answer });
    if (this.order.command.length > 0) await runForEach(this.order.command, answer);
  }

  /** The client asks for progress on its own while it catches up; that is nothing for the user. */
  private async progressed(answer: WatchResponse): Promise<void> {
    if (!this.order.request.progressNotify && this.asked === 0) return;
    this.asked = Math.max(0, this.asked - 1);
    await writeOut(`progress notify: ${answer.header?.revision ?? 0n}\n`);
    await this.session.print({ kind: "watch", response: answer });
  }

  private async ended(answer: WatchResponse): Promise<void> {
    await writeError(`watch was canceled (${cancelReason(answer)})`);
    // A refused creation reaches etcd's users as an empty response.
    await this.session.print({ kind: "watch", response: answer.created ? refused : answer });
  }
}

const refused: WatchResponse = {
  header: undefined,
  watchId: 0n,
  created: false,
  canceled: true,
  compactRevision: 0n,
  cancelReason: "",
  fragment: false,
  events: [],
};

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
