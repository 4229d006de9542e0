/** `lease keep-alive`: renews a lease, once or until it is gone (spec/cli.md 8.6). */
import { status } from "../../../../proto/status.js";
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments, ExitCode, Failure } from "../../exit-code.js";
import { boolean } from "../../flags.js";
import { leaseIdArgument } from "../../input/ids.js";
import { withoutLimit } from "../../limits.js";
import { leaseId } from "../../output/human.js";
import type { Session } from "../../session.js";
import { writeOut } from "../../terminal.js";

const flags = { once: boolean("renew the lease once and end") } as const;

export default class LeaseKeepAlive extends BaseCommand<typeof flags> {
  static override summary = "Keeps leases alive (renew)";
  static override usage = "lease keep-alive [options] <leaseID>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: { once } }: Call<typeof flags>): Promise<void> {
    const [text] = args;
    if (text === undefined || args.length !== 1) {
      throw badArguments("lease keep-alive command needs lease ID as argument");
    }
    const id = leaseIdArgument(text);
    await using session = await this.connect("leaseKeepAlive");
    try {
      await (once ? renewOnce(session, id) : renewUntilGone(session, id));
    } catch (error) {
      throw session.failure(error, ExitCode.BadConnection);
    }
  }
}

async function renewOnce(session: Session, id: bigint): Promise<void> {
  const response = await session.raw.lease.keepAliveOnce(id, withoutLimit);
  if (response.TTL <= 0n) throw new Failure(ExitCode.BadConnection, status.LeaseNotFound.message);
  await session.print({ kind: "leaseKeepAlive", response });
}

async function renewUntilGone(session: Session, id: bigint): Promise<void> {
  for await (const response of session.raw.lease.keepAlive(id, withoutLimit)) {
    if (response.TTL <= 0n) break;
    await session.print({ kind: "leaseKeepAlive", response });
  }
  if (session.printer.format === "simple") await writeOut(`lease ${leaseId(id)} expired or revoked.\n`);
}
