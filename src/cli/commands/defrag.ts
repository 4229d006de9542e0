/** `defrag`: lets each member give back the space it does not use (spec/cli.md 8.9). */
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { chosenEndpoints, elapsedNs } from "../endpoints.js";
import { ExitCode, quietFailure } from "../exit-code.js";
import { boolean } from "../flags.js";
import { formatDuration } from "../input/go-duration.js";
import type { Session } from "../session.js";
import { writeError, writeLog, writeOut } from "../terminal.js";

const flags = { cluster: boolean("defragment every member of the cluster's member list") } as const;

export default class Defrag extends BaseCommand<typeof flags> {
  static override summary = "Defragments the storage of the etcd members with given endpoints";
  static override usage = "defrag [--cluster]";
  static override examples = ["litectl defrag --cluster --command-timeout=1m"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ flags: { cluster } }: Call<typeof flags>): Promise<void> {
    await using session = await this.connect();
    let isFailed = false;
    for (const endpoint of await chosenEndpoints(session, cluster)) {
      isFailed = !(await defragment(session, endpoint)) || isFailed;
    }
    if (isFailed) throw quietFailure(ExitCode.Error);
  }
}

/** False if it failed; then that has been said. */
async function defragment(session: Session, endpoint: string): Promise<boolean> {
  const startedNs = process.hrtime.bigint();
  const took = (): string => formatDuration(elapsedNs(startedNs));
  try {
    await session.raw.maintenance.defragment({}, session.at(endpoint, session.deadline()));
    await writeOut(`Finished defragmenting etcd member[${endpoint}]. took ${took()}\n`);
    return true;
  } catch (error) {
    const { message } = session.failure(error, ExitCode.Error);
    await writeError(`Failed to defragment etcd member[${endpoint}]. took ${took()}. (${message})`);
    if (session.isDeadline(error)) {
      await writeLog("info", "a member that has begun goes on defragmenting; --command-timeout waits longer");
    }
    return false;
  }
}
