/** How long calls take and how often things go wrong, as instruments of a meter. */
import type { Counter, Histogram, Meter } from "@opentelemetry/api";
import type { CallAttempt, CallEnd, ConnectionMessage, LeaseLost } from "../index.js";
import { callAttributes, resultAttributes, serverAttributes } from "./attributes.js";

export class CallMetrics {
  private readonly duration: Histogram;
  private readonly attempts: Counter;
  private readonly resumes: Counter;
  private readonly leasesLost: Counter;
  private readonly connections: Counter;

  constructor(meter: Meter) {
    this.duration = meter.createHistogram("rpc.client.duration", {
      description: "How long calls take, all their attempts together",
      unit: "ms",
    });
    const count = (name: string, unit: string, description: string): Counter =>
      meter.createCounter(`litecd.client.${name}`, { unit, description });
    this.attempts = count("attempts", "{attempt}", "Attempts at calls, by endpoint and result");
    this.resumes = count("watch.resumes", "{watch}", "Watches that went on after a break");
    this.leasesLost = count("leases.lost", "{lease}", "Leases that are held no more, by reason");
    this.connections = count("connections", "{event}", "Connections made, lost and failed");
  }

  attempted({ call, endpoint, error }: CallAttempt): void {
    const result = error === undefined ? "answered" : "failed";
    this.attempts.add(1, { ...callAttributes(call), ...serverAttributes(endpoint), "litecd.result": result });
  }

  ended({ call, endpoint, durationMs, error }: CallEnd): void {
    const attributes = { ...callAttributes(call), ...serverAttributes(endpoint), ...resultAttributes(error) };
    this.duration.record(durationMs, attributes);
  }

  watchResumed(): void {
    this.resumes.add(1);
  }

  leaseLost({ reason }: LeaseLost): void {
    this.leasesLost.add(1, { "litecd.reason": reason });
  }

  connection({ type, endpoint }: ConnectionMessage): void {
    this.connections.add(1, { ...serverAttributes(endpoint), "litecd.event": type });
  }
}
