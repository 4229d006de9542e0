/** `endpoint health`: can each endpoint carry out a proposal, and is no alarm raised (spec/cli.md 8.10). */
import { BaseCommand, oclifFlags } from "../../base-command.js";
import { chosenEndpoints, elapsedNs } from "../../endpoints.js";
import { ExitCode, Failure } from "../../exit-code.js";
import { endpointGroupFlags } from "../../flags.js";
import type { EndpointHealth } from "../../output/results.js";
import { alarmName, unhealthyLine } from "../../output/simple.js";
import type { Session } from "../../session.js";
import { writeError } from "../../terminal.js";

const flags = {} as const;

export default class EndpointHealthCheck extends BaseCommand<typeof flags> {
  static override summary = "Checks the healthiness of endpoints specified in `--endpoints` flag";
  static override usage = "endpoint health [--cluster]";
  static override flags = oclifFlags(endpointGroupFlags);
  protected readonly tables = { own: flags, group: endpointGroupFlags };

  protected async execute(): Promise<void> {
    await using session = await this.connect("endpointHealth");
    const { cluster } = session.inherited(endpointGroupFlags);
    const endpoints: EndpointHealth[] = [];
    const checks = (await chosenEndpoints(session, cluster)).map(async (endpoint) => {
      endpoints.push(await check(session, endpoint)); // in the order of completion
    });
    await Promise.all(checks);
    await session.print({ kind: "endpointHealth", endpoints });
    const unhealthy = endpoints.filter((one) => !one.isHealthy);
    if (unhealthy.length === 0) return;
    if (session.printer.format === "simple") {
      for (const one of unhealthy) await writeError(unhealthyLine(one));
    }
    throw new Failure(ExitCode.Error, "unhealthy cluster");
  }
}

async function check(session: Session, endpoint: string): Promise<EndpointHealth> {
  const startedNs = process.hrtime.bigint();
  const error = (await proposalProblem(session, endpoint)) ?? (await alarmProblem(session, endpoint)) ?? "";
  return { endpoint, isHealthy: error === "", tookNs: elapsedNs(startedNs), error };
}

/** A linearizable read needs a quorum. Being denied the key is as good an answer as getting it. */
async function proposalProblem(session: Session, endpoint: string): Promise<string | undefined> {
  try {
    await session.raw.kv.range({ key: Buffer.from("health") }, session.at(endpoint, session.deadline()));
    return undefined;
  } catch (error) {
    return session.isError(error, "PermissionDenied") ? undefined : session.failure(error, ExitCode.Error).message;
  }
}

async function alarmProblem(session: Session, endpoint: string): Promise<string | undefined> {
  try {
    const { alarms } = await session.raw.maintenance.alarm({ action: 0 }, session.at(endpoint, session.deadline()));
    if (alarms.length === 0) return undefined;
    const names = alarms.map(({ alarm }) => (alarm === 1 || alarm === 2 ? alarmName(alarm) : "UNKNOWN"));
    return `Active Alarm(s): ${names.map((name) => `${name} `).join("")}`;
  } catch {
    return "Unable to fetch the alarm list"; // the real tool's words for every reason
  }
}
