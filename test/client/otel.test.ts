/** OpenTelemetry: one client span a call, its context on the wire, and the measurements. */

import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Attributes,
  type Context,
  type ContextManager,
  type Counter,
  context,
  createNoopMeter,
  type Histogram,
  type Meter,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { afterEach, describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.js";
import { instrument } from "../../src/client/otel/index.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import { startGrpcStub } from "../support/grpc-stub.js";

/** A span that remembers. */
class RecordedSpan implements Span {
  readonly name: string;
  readonly options: SpanOptions;
  readonly parent: SpanContext | undefined;
  readonly attributes: Attributes;
  readonly events: { readonly name: string; readonly attributes: unknown }[] = [];
  readonly context: SpanContext;
  status: SpanStatus | undefined;
  endings = 0;

  constructor(name: string, options: SpanOptions, parent: SpanContext | undefined, number: number) {
    this.name = name;
    this.options = options;
    this.parent = parent;
    this.attributes = { ...options.attributes };
    const traceId = parent?.traceId ?? "0af7651916cd43dd8448eb211c80319c";
    this.context = { traceId, spanId: number.toString(16).padStart(16, "0"), traceFlags: 1 };
  }
  spanContext(): SpanContext {
    return this.context;
  }
  setAttribute(key: string, value: Attributes[string]): this {
    return this.setAttributes({ [key]: value });
  }
  setAttributes(attributes: Attributes): this {
    Object.assign(this.attributes, attributes);
    return this;
  }
  addEvent(name: string, attributes?: unknown): this {
    this.events.push({ name, attributes });
    return this;
  }
  addLink(): this {
    return this;
  }
  addLinks(): this {
    return this;
  }
  setStatus(status: SpanStatus): this {
    this.status = status;
    return this;
  }
  updateName(): this {
    return this;
  }
  end(): void {
    this.endings++;
  }
  isRecording(): boolean {
    return true;
  }
  recordException(): void {}
}

class RecordingTracer implements Pick<Tracer, "startSpan"> {
  readonly spans: RecordedSpan[] = [];

  startSpan(name: string, options: SpanOptions = {}, parent: Context = ROOT_CONTEXT): Span {
    const span = new RecordedSpan(name, options, trace.getSpanContext(parent), this.spans.length + 1);
    this.spans.push(span);
    return span;
  }
}

interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly attributes: Attributes | undefined;
}

/** A meter that remembers what its counters and histograms were given. */
function recordingMeter(): { readonly meter: Meter; readonly measured: Measurement[] } {
  const measured: Measurement[] = [];
  const note = (name: string) => (value: number, attributes?: Attributes) =>
    void measured.push({ name, value, attributes });
  const meter = createNoopMeter();
  meter.createCounter = (name): Counter => ({ add: note(name) });
  meter.createHistogram = (name): Histogram => ({ record: note(name) });
  return { meter, measured };
}

/** As @opentelemetry/context-async-hooks does it. */
class AsyncContexts implements ContextManager {
  private readonly storage = new AsyncLocalStorage<Context>();
  active(): Context {
    return this.storage.getStore() ?? ROOT_CONTEXT;
  }
  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    act: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.storage.run(active, () => act.call(thisArg, ...args));
  }
  bind<T>(_: Context, target: T): T {
    return target;
  }
  enable(): this {
    return this;
  }
  disable(): this {
    return this;
  }
}

const rangePath = "/etcdserverpb.KV/Range";

/** A tracer and a meter that listen until disposed. */
function recording() {
  const tracer = new RecordingTracer();
  const { meter, measured } = recordingMeter();
  const listening = instrument({ tracer: tracer as unknown as Tracer, meter });
  const named = (name: string): Measurement[] => measured.filter((each) => each.name === name);
  const ranges = (): RecordedSpan[] => tracer.spans.filter((span) => span.name === rangePath.slice(1));
  return { tracer, ranges, named, [Symbol.dispose]: () => listening[Symbol.dispose]() };
}

describe("instrument", () => {
  afterEach(() => context.disable());

  it("makes a client span of a call, with the words of the conventions, and sends its context along", async () => {
    context.setGlobalContextManager(new AsyncContexts());
    await using stub = await startGrpcStub();
    await using client = createClient({ endpoints: stub.endpoint });
    using record = recording();
    const parent = new RecordedSpan("request", {}, undefined, 99);
    await context.with(trace.setSpan(ROOT_CONTEXT, parent), () => client.get("x"));
    const [span] = record.ranges();
    expect(record.ranges()).toHaveLength(1);
    expect(span).toMatchObject({
      name: "etcdserverpb.KV/Range",
      options: { kind: 2 },
      endings: 1,
      status: undefined,
      parent: { spanId: parent.context.spanId },
    });
    expect(span?.attributes).toEqual({
      "rpc.system": "grpc",
      "rpc.service": "etcdserverpb.KV",
      "rpc.method": "Range",
      "rpc.grpc.status_code": 0,
      "server.address": "127.0.0.1",
      "server.port": Number(new URL(stub.endpoint).port),
      "litecd.attempts": 1,
      "litecd.outcome": "applied",
    });
    const { traceId, spanId } = span?.context ?? parent.context;
    const [sent] = stub.headers.filter((headers) => headers[":path"] === rangePath);
    expect(sent?.["traceparent"]).toBe(`00-${traceId}-${spanId}-01`);
  });

  it("measures durations and attempts", async () => {
    await using stub = await startGrpcStub();
    await using client = createClient({ endpoints: stub.endpoint });
    using record = recording();
    await client.get("x");
    const [duration] = record
      .named("rpc.client.duration")
      .filter(({ attributes }) => attributes?.["rpc.method"] === "Range");
    expect(duration?.value).toBeGreaterThan(0);
    expect(duration?.attributes).toMatchObject({ "rpc.grpc.status_code": 0, "server.address": "127.0.0.1" });
    const attempts = record
      .named("litecd.client.attempts")
      .filter(({ attributes }) => attributes?.["rpc.method"] === "Range");
    expect(attempts).toMatchObject([{ value: 1, attributes: { "litecd.result": "answered" } }]);
    expect(record.named("litecd.client.connections")).toMatchObject([{ attributes: { "litecd.event": "connected" } }]);
  });

  it("says what a call failed with, and at which attempts", async () => {
    await using stub = await startGrpcStub();
    await using proxy = await startTcpProxy(stub.endpoint);
    await using client = createClient({ endpoints: proxy.endpoint });
    proxy.admit("refuse");
    using record = recording();
    await expect(client.get("x", { timeoutMs: 300 })).rejects.toMatchObject({ code: "ConnectFailed" });
    const [span] = record.ranges();
    expect(span).toMatchObject({ endings: 1, status: { code: 2 } });
    expect(span?.attributes).toMatchObject({ "error.type": "ConnectFailed", "rpc.grpc.status_code": 4 });
    expect(span?.events[0]).toMatchObject({ name: "attempt failed", attributes: { "litecd.attempt": 1 } });
    expect(record.named("litecd.client.attempts")[0]?.attributes).toMatchObject({ "litecd.result": "failed" });
  });

  it("is over when it is disposed", async () => {
    await using stub = await startGrpcStub();
    await using client = createClient({ endpoints: stub.endpoint });
    const record = recording();
    record[Symbol.dispose]();
    await client.get("x");
    expect(record.tracer.spans).toEqual([]);
    expect(record.named("rpc.client.duration")).toEqual([]);
    expect(stub.headers.filter((headers) => "traceparent" in headers)).toEqual([]);
  });

  it("needs no provider: without one, calls go on as they were", async () => {
    await using stub = await startGrpcStub();
    await using client = createClient({ endpoints: stub.endpoint });
    using _ = instrument();
    await client.get("x");
    expect(stub.headers.filter((headers) => "traceparent" in headers)).toEqual([]);
    expect(stub.headers.filter((headers) => headers[":path"] === rangePath)).toHaveLength(1);
  });
});
