/** The raw face: every RPC on etcd's own messages, made from the table of methods. */
import { type DeepPartial, WatchCreateRequest, type WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import type { Calls } from "../calls/call.js";
import {
  authMethods,
  clusterMethods,
  electionMethods,
  healthMethods,
  kvMethods,
  leaseMethods,
  lockMethods,
  maintenanceMethods,
  streamMethods,
} from "../calls/methods.js";
import type { Method } from "../connection/transport.js";
import type { Renewals } from "../lease/keepalive.js";
import { keepAliveAnswers, keepAliveOnce } from "../lease/keepalive-once.js";
import type { CallOptions } from "../options.js";
import { WatchSession } from "../watch/session.js";
import type { RawClient, RawWatch } from "./raw-types.js";

type Unaries<T> = {
  readonly [K in keyof T]: T[K] extends Method<infer Req, infer Res>
    ? (request: DeepPartial<Req>, options?: CallOptions) => Promise<Res>
    : never;
};

function unaries<T extends Readonly<Record<string, object>>>(calls: Calls, methods: T): Unaries<T> {
  const entries = Object.entries(methods).map(([name, method]) => [
    name,
    (request: never, options?: CallOptions) => calls.unary(method as Method<unknown, unknown>, request, options),
  ]);
  // Object.fromEntries forgets which name had which method; the mapped type has kept it.
  return Object.fromEntries(entries) as Unaries<T>;
}

export function rawClient(calls: Calls, renewals: Renewals): RawClient {
  return {
    kv: {
      ...unaries(calls, kvMethods),
      rangeStream: (request, options) => calls.serverStream(streamMethods.rangeStream, request, options),
    },
    lease: {
      ...unaries(calls, leaseMethods),
      keepAlive: (id, options = {}) => keepAliveAnswers(calls, renewals, id, options),
      keepAliveOnce: async (id, options = {}) => (await keepAliveOnce(calls, renewals, id, options)).response,
    },
    cluster: unaries(calls, clusterMethods),
    maintenance: {
      ...unaries(calls, maintenanceMethods),
      snapshot: (request = {}, options) => calls.serverStream(streamMethods.snapshot, request, options),
    },
    auth: unaries(calls, authMethods),
    lock: unaries(calls, lockMethods),
    election: {
      ...unaries(calls, electionMethods),
      observe: (request, options) => calls.serverStream(streamMethods.observe, request, options),
    },
    health: {
      ...unaries(calls, healthMethods),
      watch: (request = { service: "" }, options) => calls.serverStream(streamMethods.healthWatch, request, options),
    },
    watch: (request, options = {}) =>
      new SessionWatch(
        new WatchSession(calls, WatchCreateRequest.fromPartial(request), {
          ...options,
          stream: "own",
          deliver: "everything",
        }),
      ),
  };
}

class SessionWatch implements RawWatch {
  private readonly session: WatchSession;

  constructor(session: WatchSession) {
    this.session = session;
  }

  [Symbol.asyncIterator](): AsyncIterator<WatchResponse> {
    return this.session.inbox[Symbol.asyncIterator]();
  }

  requestProgress(): void {
    this.session.requestProgress();
  }

  async close(): Promise<void> {
    await this.session.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
