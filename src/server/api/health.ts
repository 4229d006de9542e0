/** The standard health service: this server knows only itself, the service with the empty name (spec/server.md 9.3). */
import {
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Serving,
} from "../../../proto/gen/etcd/health.js";
import { status, WireError } from "../../../proto/status.js";
import { abortError, WakeUp } from "./abort.js";
import type { CallContext, HealthHandlers } from "./types.js";

export function createHealth(): HealthHandlers {
  return {
    check: async ({ service }) => {
      if (service !== "") throw new WireError(status.HealthServiceUnknown);
      return { status: Serving.SERVING };
    },
    watch: ({ service }, context) => watch(service, context),
  };
}

/** One answer, since nothing changes it; then the stream stays open until its caller leaves. */
async function* watch(service: string, { signal }: CallContext): AsyncGenerator<HealthCheckResponse> {
  yield { status: service === "" ? Serving.SERVING : Serving.SERVICE_UNKNOWN };
  const aborted = new WakeUp();
  const wake = (): void => aborted.wake();
  signal.addEventListener("abort", wake);
  if (!signal.aborted) await aborted.wait();
  signal.removeEventListener("abort", wake);
  throw abortError(signal, status.Canceled);
}
