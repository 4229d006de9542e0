/** What gRPC counts: calls and messages by method and status, bytes, and the API versions of clients. */

import { Code } from "../../../proto/status.js";
import { invariant } from "../invariant.js";
import { type Collectable, Counter, type Family, Histogram, type Labels, type Sample } from "../runtime/instruments.js";
import type { Metrics } from "../runtime/metrics.js";
import { type Method, splitPath } from "./method.js";

/** Codes by number, as metrics spell them. */
const codeWords: readonly string[] = Object.keys(Code).map(codeWord);

/** `INVALID_ARGUMENT` -> `InvalidArgument`. */
function codeWord(name: string): string {
  if (name === "OK") return name;
  if (name === "CANCELLED") return "Canceled";
  return name.toLowerCase().replace(/(?:^|_)([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}

const kindWords = { unary: "unary", serverStream: "server_stream", duplex: "bidi_stream" } as const;

/** Buckets of a call's duration in seconds. */
const handlingBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts of one method: plain fields, since every call touches them. */
export class MethodCounts {
  started = 0;
  received = 0;
  sent = 0;
  /** By status code. */
  readonly handled: number[] = codeWords.map(() => 0);
  /** Seconds from the start of a call to its end; only with `--metrics extensive`. */
  readonly handlingSeconds: Histogram | undefined;
  readonly labels: Labels;

  constructor(method: Method, level: MetricsLevel) {
    const { service = "", name = "" } = splitPath(method.path) ?? {};
    this.labels = { grpc_method: name, grpc_service: service, grpc_type: kindWords[method.kind] };
    this.handlingSeconds = level === "extensive" ? new Histogram(handlingBounds) : undefined;
  }
}

export type MetricsLevel = "basic" | "extensive";

/** Metrics of all methods, there from the start: alerts compare with zero, not with nothing. */
export class CallMetrics {
  readonly sentBytes: Counter;
  readonly receivedBytes: Counter;
  private readonly streamFailures: Metrics["networkServerStreamFailures"];
  private readonly counts: ReadonlyMap<Method, MethodCounts>;
  private readonly requests: Family<"type" | "client_api_version", Counter>;
  private readonly requestsBy = new Map<string, Counter>();

  constructor(methods: readonly Method[], metrics: Metrics, level: MetricsLevel) {
    this.counts = new Map(methods.map((method) => [method, new MethodCounts(method, level)]));
    this.sentBytes = metrics.networkClientGrpcSentBytes;
    this.receivedBytes = metrics.networkClientGrpcReceivedBytes;
    this.streamFailures = metrics.networkServerStreamFailures;
    this.requests = metrics.serverClientRequests;
    this.register(metrics);
  }

  /** Counts of one of the methods. */
  of(method: Method): MethodCounts {
    const counts = this.counts.get(method);
    invariant(counts !== undefined, "every method is counted", { path: method.path });
    return counts;
  }

  /** Counts a request by what the client says it speaks. Clients choose that text, so only so many are kept apart. */
  countRequest(type: "unary" | "stream", version = "unknown"): void {
    const kept = this.requestsBy.get(`${type} ${version}`);
    if (kept !== undefined) kept.inc();
    else this.firstRequest(type, this.requestsBy.size < versionsMax ? version : "unknown").inc();
  }

  /** A stream broke while the server received from it. */
  countReceiveFailure(method: Method): void {
    const api = streamNames.get(method.path);
    if (api !== undefined) this.streamFailures.labels({ Type: "receive", API: api }).inc();
  }

  private firstRequest(type: "unary" | "stream", version: string): Counter {
    const counter = this.requests.labels({ type, client_api_version: version });
    this.requestsBy.set(`${type} ${version}`, counter);
    return counter;
  }

  private register(metrics: Metrics): void {
    const add = (name: string, help: string, read: (counts: MethodCounts) => readonly Sample[]): void => {
      metrics.add({ name, help, type: "counter", instrument: this.collect(read) });
    };
    add("grpc_server_started_total", "Calls begun.", (counts) => one(counts, counts.started));
    add("grpc_server_msg_received_total", "Messages received.", (counts) => one(counts, counts.received));
    add("grpc_server_msg_sent_total", "Messages sent.", (counts) => one(counts, counts.sent));
    add("grpc_server_handled_total", "Calls ended, by status.", handledSamples);
    metrics.add({
      name: "grpc_server_handling_seconds",
      help: "Time from the start of a call to its end.",
      type: "histogram",
      instrument: this.collect((counts) => counts.handlingSeconds?.samples(counts.labels) ?? []),
    });
  }

  private collect(read: (counts: MethodCounts) => readonly Sample[]): Collectable {
    return { samples: () => [...this.counts.values()].flatMap(read) };
  }
}

/** Versions of clients kept apart, both types together. */
const versionsMax = 100;

/** Streams as their failures are counted. */
const streamNames: ReadonlyMap<string, string> = new Map([
  ["/etcdserverpb.Watch/Watch", "watch"],
  ["/etcdserverpb.Lease/LeaseKeepAlive", "lease-keepalive"],
]);

function one({ labels }: MethodCounts, value: number): readonly Sample[] {
  return [{ suffix: "", labels, value }];
}

function handledSamples(counts: MethodCounts): readonly Sample[] {
  return counts.handled.map((value, code) => ({
    suffix: "",
    labels: { grpc_code: codeWords[code] ?? String(code), ...counts.labels },
    value,
  }));
}
