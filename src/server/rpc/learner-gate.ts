/** What a learner may be asked: little, since it may be far behind. Source: spec/server.md 6.4. */

import type { RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import type { Method } from "./method.js";

/** By path: may a learner serve this request? Methods that are not named may not. */
const servedByLearners = new Map<string, (request: unknown) => boolean>([
  // The codec of this path makes nothing else.
  ["/etcdserverpb.KV/Range", (request) => (request as RangeRequest).serializable],
  ["/etcdserverpb.Maintenance/Status", () => true],
  ["/etcdserverpb.Maintenance/Snapshot", () => true],
]);

/** `request` is undefined for a stream, which is judged before anything is read from it. */
export function learnerServes(method: Method, request: unknown): boolean {
  return servedByLearners.get(method.path)?.(request) ?? false;
}
