/** Runs a method's handler on a call: one answer, a stream of answers, or streams both ways. */

import { Code, WireError } from "../../../proto/status.js";
import type { Call, Receiver } from "./call.js";
import { type Codec, decodeMessage, decodeProblem } from "./codec.js";
import { Inbox } from "./inbox.js";
import type { DuplexMethod, Method, ServerStreamMethod, UnaryMethod } from "./method.js";

/** Throws a WireError when the call may not proceed (no leader, bad metadata). A stream has no request yet. */
export type Admit = (call: Call, request: unknown) => void;

/** Starts to serve. A call with one answer is admitted once its request is read, a stream at once (spec/server.md 1.1). */
export function serve(method: Method, call: Call, admit: Admit): void {
  switch (method.kind) {
    case "unary":
      return call.receive(new UnaryReceiver(method, call, admit));
    case "serverStream":
      call.receive(new ServerStreamReceiver(method, call));
      return admitStream(call, admit);
    case "duplex": {
      const receiver = new DuplexReceiver(method, call);
      call.receive(receiver);
      admitStream(call, admit);
      if (!call.finished) void pump(method.response, call, () => method.handler(receiver.inbox, call));
    }
  }
}

function admitStream(call: Call, admit: Admit): void {
  if (call.finished) return; // its deadline was over before it began
  try {
    admit(call, undefined);
  } catch (error) {
    call.fail(error);
  }
}

class UnaryReceiver implements Receiver {
  private readonly method: UnaryMethod;
  private readonly call: Call;
  private readonly admit: Admit;
  private received = false;

  constructor(method: UnaryMethod, call: Call, admit: Admit) {
    this.method = method;
    this.call = call;
    this.admit = admit;
  }

  message(bytes: Uint8Array): void {
    if (this.received) return; // more than one request is too many, and not worth an error
    this.received = true;
    const request = decode(this.method.request, bytes, "grpc: error unmarshalling request");
    this.admit(this.call, request);
    void answer(this.method, this.call, request);
  }

  end(where: "between messages" | "within a message"): void {
    if (this.received) return;
    const message = where === "within a message" ? "unexpected EOF" : "EOF";
    this.call.fail(new WireError({ code: Code.UNKNOWN, message }));
  }

  abort(): void {
    // The handler listens to the signal; there is nothing else to stop.
  }
}

async function answer(method: UnaryMethod, call: Call, request: unknown): Promise<void> {
  try {
    call.finishWith(method.response, await method.handler(request, call));
  } catch (error) {
    call.fail(error);
  }
}

class ServerStreamReceiver implements Receiver {
  private readonly method: ServerStreamMethod;
  private readonly call: Call;
  private received = false;

  constructor(method: ServerStreamMethod, call: Call) {
    this.method = method;
    this.call = call;
  }

  message(bytes: Uint8Array): void {
    if (this.received) return;
    this.received = true;
    const request = decode(this.method.request, bytes, "grpc: failed to unmarshal the received message");
    void pump(this.method.response, this.call, () => this.method.handler(request, this.call));
  }

  end(where: "between messages" | "within a message"): void {
    if (this.received) return;
    const nothing = "cardinality violation: received no request message from non-client-streaming RPC";
    const message = where === "within a message" ? "unexpected EOF" : nothing;
    this.call.fail(new WireError({ code: Code.INTERNAL, message }));
  }

  abort(): void {
    // As above: the handler listens to the signal.
  }
}

class DuplexReceiver implements Receiver {
  readonly inbox: Inbox<unknown>;
  private readonly method: DuplexMethod;
  private readonly call: Call;

  constructor(method: DuplexMethod, call: Call) {
    this.method = method;
    this.call = call;
    this.inbox = new Inbox(call);
  }

  message(bytes: Uint8Array): void {
    this.inbox.push(decode(this.method.request, bytes, "grpc: failed to unmarshal the received message"));
  }

  end(where: "between messages" | "within a message"): void {
    if (where === "within a message") return this.call.abort({ code: Code.INTERNAL, message: "unexpected EOF" });
    // A connection that breaks looks at first like a caller that is done; a turn later it is known.
    setImmediate(() => this.inbox.end());
  }

  abort(reason: WireError): void {
    this.inbox.fail(reason);
  }
}

/** Sends what the handler yields, no faster than the caller takes it; leaving early ends the handler's iterator. */
async function pump(codec: Codec<unknown>, call: Call, start: () => AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const response of start()) {
      if (!call.send(codec, response)) await call.drained();
      if (call.finished) return;
    }
    call.finish({ code: Code.OK, message: "" });
  } catch (error) {
    call.fail(error);
  }
}

function decode<Message>(codec: Codec<Message>, bytes: Uint8Array, failure: string): Message {
  try {
    return decodeMessage(codec, bytes);
  } catch (cause) {
    throw new WireError({ code: Code.INTERNAL, message: `${failure}: ${decodeProblem(cause)}` }, { cause });
  }
}
