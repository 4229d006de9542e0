/** A client span for every call, whose attempts are events. */
import {
  type Context,
  context,
  isSpanContextValid,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { type CallAttempt, type CallEnd, type CallFacts, type CallStart, isEtcdError } from "../index.js";
import { callAttributes, resultAttributes, serverAttributes } from "./attributes.js";

export class CallSpans {
  private readonly tracer: Tracer;
  private readonly spans = new WeakMap<CallFacts, Span>();

  constructor(tracer: Tracer) {
    this.tracer = tracer;
  }

  /** The span's parent is whatever is active where the call was made. */
  started({ call }: CallStart): void {
    const parent = context.active();
    const name = call.path.slice(1);
    const span = this.tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes: callAttributes(call) }, parent);
    this.spans.set(call, span);
    propagate(trace.setSpan(parent, span), span, call.metadata);
  }

  attempted({ call, attempt, endpoint, error }: CallAttempt): void {
    if (error === undefined) return;
    const type = isEtcdError(error) ? error.code : error instanceof Error ? error.name : "unknown";
    const attributes = { "litecd.attempt": attempt, "error.type": type, ...serverAttributes(endpoint) };
    this.spans.get(call)?.addEvent("attempt failed", attributes);
  }

  ended({ call, attempts, endpoint, outcome, error }: CallEnd): void {
    const span = this.spans.get(call);
    if (span === undefined) return;
    span.setAttributes({
      ...serverAttributes(endpoint),
      ...resultAttributes(error),
      "litecd.attempts": attempts,
      "litecd.outcome": outcome,
    });
    if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    span.end();
  }
}

/** By the global propagator; where there is none, in the form of W3C, which is what everybody reads. */
function propagate(active: Context, span: Span, metadata: Record<string, string>): void {
  propagation.inject(active, metadata);
  const { traceId, spanId, traceFlags } = span.spanContext();
  if (propagation.fields().length > 0 || !isSpanContextValid(span.spanContext())) return;
  metadata["traceparent"] = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}
