/** Listens to the client's diagnostics channels and tells OpenTelemetry of them. */
import { type Meter, metrics, type Tracer, trace } from "@opentelemetry/api";
import { observe } from "../index.js";
import { CallMetrics } from "./call-metrics.js";
import { CallSpans } from "./call-spans.js";

export interface InstrumentOptions {
  /** The global provider's, if absent. */
  readonly tracer?: Tracer;
  /** The global provider's, if absent. */
  readonly meter?: Meter;
}

const scope = "litecd";

/**
 * From now on every call of every client in this process is a client span, with the trace's context in its metadata, and
 * is counted: `rpc.client.duration` (ms), `litecd.client.attempts`, `litecd.client.watch.resumes`,
 * `litecd.client.leases.lost`, `litecd.client.connections`. Until disposed.
 */
export function instrument(options: InstrumentOptions = {}): Disposable {
  const spans = new CallSpans(options.tracer ?? trace.getTracer(scope));
  const numbers = new CallMetrics(options.meter ?? metrics.getMeter(scope));
  const listening = [
    observe("litecd:call:start", (message) => spans.started(message)),
    observe("litecd:call:attempt", (message) => {
      spans.attempted(message);
      numbers.attempted(message);
    }),
    observe("litecd:call:end", (message) => {
      spans.ended(message);
      numbers.ended(message);
    }),
    observe("litecd:watch:resume", () => numbers.watchResumed()),
    observe("litecd:lease:lost", (message) => numbers.leaseLost(message)),
    observe("litecd:connection", (message) => numbers.connection(message)),
  ];
  return {
    [Symbol.dispose]: () => {
      for (const each of listening) each[Symbol.dispose]();
    },
  };
}
