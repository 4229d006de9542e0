/** `lock`: holds a named lock until a signal, or while a command runs (spec/cli.md 8.15). */
import { status } from "../../../proto/status.js";
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { runCommand } from "../exec.js";
import { badArguments, ExitCode, Failure } from "../exit-code.js";
import { integer } from "../flags.js";
import { byteText } from "../input/byte-text.js";
import { withoutLimit } from "../limits.js";
import { type Place, QueuePlace } from "../queue.js";
import type { Session } from "../session.js";
import { aborted, interruption, leavingSignalsAlone } from "../signals.js";

const flags = { ttl: integer("timeout for session, in seconds", { initial: 10n }) } as const;
/** Seconds; what the lease gets when `--ttl` is no positive number. */
const ttlFallback = 60;

export default class Lock extends BaseCommand<typeof flags> {
  static override summary = "Acquires a named lock";
  static override description =
    "Acquires a named lock and holds it until the command that follows has ended, or else until a signal comes.\n" +
    "The command finds ETCD_LOCK_KEY and ETCD_LOCK_REV in its environment.";
  static override usage = "lock <lockname> [exec-command arg1 arg2 ...]";
  static override examples = ["litectl lock deploy -- make deploy"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { ttl } }: Call<typeof flags>): Promise<void> {
    const [name, ...command] = args;
    if (name === undefined) throw badArguments("lock takes a lock name argument and an optional command to execute");
    await using session = await this.connect("range");
    // Disposing of the lease revokes it: nothing of us stays behind.
    await using lease = await session.client.leases.grant(ttl > 0n ? Number(ttl) : ttlFallback, withoutLimit);
    const signal = interruption();
    const queue = new QueuePlace(session.raw, name, lease);
    const place = await queue.reachFront(new Uint8Array(), signal).catch((error: unknown) => {
      throw lease.signal.aborted ? new Failure(ExitCode.Error, status.MutexSessionExpired.message) : error;
    });
    if (command.length > 0) return await whileRunning(queue, place, command);
    await show(session, place);
    const end = await Promise.race([aborted(signal), lease.lost]);
    if (end !== "interrupted") throw new Failure(ExitCode.Error, "session expired");
    await queue.leave();
  }
}

async function show(session: Session, { key }: Place): Promise<void> {
  const response = await session.raw.kv.range({ key }, withoutLimit);
  if (response.kvs.length === 0) throw new Failure(ExitCode.Error, "lock lost on init");
  await session.print({ kind: "range", response });
}

/** Variables that are already there win over ours, as with the real tool. Throws Failure with the command's code. */
async function whileRunning(queue: QueuePlace, place: Place, command: readonly string[]): Promise<void> {
  const facts = { ETCD_LOCK_KEY: byteText(place.key), ETCD_LOCK_REV: `${place.revision}` };
  const ending = await leavingSignalsAlone(() => runCommand(command, { ...facts, ...process.env }));
  await queue.leave();
  switch (ending.kind) {
    case "success":
      return;
    case "failed":
      throw new Failure(ending.exitCode, ending.text);
    case "notStarted":
      throw new Failure(ExitCode.Error, ending.text);
  }
}
