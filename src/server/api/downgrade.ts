/** Downgrade: may the cluster go one minor version back, prepare it, call it off (spec/server.md 7.3). */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import type { GuardedDependencies } from "./dependencies.js";
import { headerAt, headerNow } from "./header.js";
import type { CallContext } from "./types.js";

interface Version {
  readonly major: number;
  readonly minor: number;
}

export async function downgrade(
  deps: GuardedDependencies,
  request: rpc.DowngradeRequest,
  context: CallContext,
): Promise<rpc.DowngradeResponse> {
  const { replica, guard } = deps;
  await guard.admin(context);
  switch (request.action) {
    case rpc.DowngradeRequest_DowngradeAction.VALIDATE:
      validate(deps, request.version);
      return { header: headerNow(replica), version: clusterVersion(deps) };
    case rpc.DowngradeRequest_DowngradeAction.ENABLE: {
      const target = validate(deps, request.version);
      return propose(deps, { ...request, version: `${target.major}.${target.minor}.0` }, context);
    }
    case rpc.DowngradeRequest_DowngradeAction.CANCEL:
      return propose(deps, request, context);
  }
  // Enums are open on the wire.
  throw new WireError(status.UnknownMethod);
}

async function propose(
  deps: GuardedDependencies,
  value: rpc.DowngradeRequest,
  context: CallContext,
): Promise<rpc.DowngradeResponse> {
  const options = { signal: context.signal, caller: await deps.guard.caller(context) };
  const { revision } = await deps.replica.propose<"none">({ $case: "downgrade", value }, options);
  return { header: headerAt(deps.replica, revision), version: clusterVersion(deps) };
}

/** Only to exactly one minor version below the cluster's. */
function validate(deps: GuardedDependencies, text: string): Version {
  const target = parse(text);
  if (target === undefined) throw new WireError(status.WrongDowngradeVersionFormat);
  const current = parse(deps.replica.state.clusterVersion() ?? "");
  if (current === undefined) throw new WireError(status.ClusterVersionUnavailable);
  const allowed = target.major === current.major && target.minor === current.minor - 1;
  if (!allowed) throw new WireError(status.InvalidDowngradeTargetVersion);
  if (deps.replica.state.downgradeTarget() !== undefined) throw new WireError(status.DowngradeInProcess);
  return target;
}

/** The cluster's version as `major.minor`, the form that 3.6 and later answer with. */
function clusterVersion({ replica }: GuardedDependencies): string {
  const current = parse(replica.state.clusterVersion() ?? "");
  return current === undefined ? "" : `${current.major}.${current.minor}`;
}

/** Takes `M.m` or a semantic version, of which only major and minor count. */
function parse(text: string): Version | undefined {
  const match = /^(\d+)\.(\d+)(?:\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)?$/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}
