/** `endpoint hashkv`: a hash of each member's key history (spec/cli.md 8.10). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { chosenEndpoints } from "../../endpoints.js";
import { ExitCode, type Failure } from "../../exit-code.js";
import { endpointGroupFlags, integer } from "../../flags.js";
import type { EndpointHash } from "../../output/results.js";
import { writeError } from "../../terminal.js";

const flags = { rev: integer("hash the history up to this revision; 0 is the latest") } as const;

export default class EndpointHashKv extends BaseCommand<typeof flags> {
  static override summary = "Prints the KV history hash for each endpoint in --endpoints";
  static override usage = "endpoint hashkv [--cluster] [options]";
  static override flags = oclifFlags({ ...endpointGroupFlags, ...flags });
  protected readonly tables = { own: flags, group: endpointGroupFlags };

  protected async execute({ flags: { rev } }: Call<typeof flags>): Promise<void> {
    await using session = await this.connect("endpointHash");
    const { cluster } = session.inherited(endpointGroupFlags);
    const endpoints: EndpointHash[] = [];
    let failed: Failure | undefined;
    for (const endpoint of await chosenEndpoints(session, cluster)) {
      try {
        const options = session.at(endpoint, session.deadline());
        endpoints.push({ endpoint, hash: await session.raw.maintenance.hashKV({ revision: rev }, options) });
      } catch (error) {
        failed = session.failure(error, ExitCode.Error);
        await writeError(`Failed to get the hash of endpoint ${endpoint} (${failed.message})`);
      }
    }
    await session.print({ kind: "endpointHash", endpoints });
    if (failed !== undefined) throw failed;
  }
}
