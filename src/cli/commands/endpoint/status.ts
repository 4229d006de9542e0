/** `endpoint status`: what each member says of itself (spec/cli.md 8.10). */
import { BaseCommand, oclifFlags } from "../../base-command.js";
import { chosenEndpoints } from "../../endpoints.js";
import { ExitCode, quietFailure } from "../../exit-code.js";
import { endpointGroupFlags } from "../../flags.js";
import type { EndpointStatus } from "../../output/results.js";
import { writeError } from "../../terminal.js";

const flags = {} as const;

export default class EndpointStatusList extends BaseCommand<typeof flags> {
  static override summary = "Prints out the status of endpoints specified in `--endpoints` flag";
  static override usage = "endpoint status [--cluster]";
  static override flags = oclifFlags(endpointGroupFlags);
  protected readonly tables = { own: flags, group: endpointGroupFlags };

  protected async execute(): Promise<void> {
    await using session = await this.connect("endpointStatus");
    const { cluster } = session.inherited(endpointGroupFlags);
    const endpoints: EndpointStatus[] = [];
    let isFailed = false;
    for (const endpoint of await chosenEndpoints(session, cluster)) {
      try {
        const status = await session.raw.maintenance.status({}, session.at(endpoint, session.deadline()));
        endpoints.push({ endpoint, status });
      } catch (error) {
        isFailed = true;
        const { message } = session.failure(error, ExitCode.Error);
        await writeError(`Failed to get the status of endpoint ${endpoint} (${message})`);
      }
    }
    await session.print({ kind: "endpointStatus", endpoints });
    if (isFailed) throw quietFailure(ExitCode.Error);
  }
}
