/** `elect`: campaigns in an election and leads until a signal, or watches who leads (spec/cli.md 8.16). */
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { badArguments, ExitCode, Failure } from "../exit-code.js";
import { boolean } from "../flags.js";
import { bytesOf } from "../input/byte-text.js";
import { withoutLimit } from "../limits.js";
import { leaders, QueuePlace } from "../queue.js";
import type { Session } from "../session.js";
import { aborted, interruption } from "../signals.js";

const flags = { listen: boolean("observation mode", { short: "l" }) } as const;
/** Seconds that a leader is taken to live after it was last heard of. */
const sessionTtl = 60;

export default class Elect extends BaseCommand<typeof flags> {
  static override summary = "Observes and participates in leader election";
  static override usage = "elect <election-name> [proposal]";
  static override examples = ["litectl elect service host1:8080", "litectl elect service -l"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { listen } }: Call<typeof flags>): Promise<void> {
    const [name, proposal] = args;
    if (name === undefined || args.length > 2) {
      throw badArguments("elect takes one election name argument and an optional proposal argument");
    }
    if (listen && proposal !== undefined) throw badArguments("proposal given but -l is set");
    if (!listen && proposal === undefined) throw badArguments("no proposal argument but -l not set");
    await using session = await this.connect("range");
    await (proposal === undefined ? observe(session, name) : campaign(session, name, bytesOf(proposal)));
  }
}

async function campaign(session: Session, name: string, proposal: Uint8Array): Promise<void> {
  await using lease = await session.client.leases.grant(sessionTtl, withoutLimit);
  const signal = interruption();
  const queue = new QueuePlace(session.raw, name, lease);
  const { key } = await queue.reachFront(proposal, signal).catch((error: unknown) => {
    throw lease.signal.aborted ? sessionExpired() : error;
  });
  await session.print({ kind: "range", response: await session.raw.kv.range({ key }, withoutLimit) });
  const end = await Promise.race([aborted(signal), lease.lost]);
  if (end !== "interrupted") throw sessionExpired();
  await queue.leave();
}

function sessionExpired(): Failure {
  return new Failure(ExitCode.Error, "elect: session expired");
}

async function observe(session: Session, name: string): Promise<void> {
  const signal = interruption();
  try {
    for await (const { header, leader } of leaders(session.raw, name, signal)) {
      await session.print({ kind: "range", response: { header, kvs: [leader], more: false, count: 0n } });
    }
  } catch (error) {
    if (!signal.aborted) throw session.failure(error, ExitCode.Error, () => "elect: observer lost");
  }
}
