/** Makes calls: picks an endpoint, adds token and deadline, and repeats what may be repeated. */
import type { DeepPartial } from "../../../proto/gen/etcd/rpc.js";
import type { Endpoint } from "../connection/endpoints.js";
import type { Duplex, Method } from "../connection/transport.js";
import type { CallOptions } from "../options.js";
import { Effort } from "./effort.js";
import { waitsWithoutLimit } from "./methods.js";
import { CallScope } from "./scope.js";
import type { Wiring } from "./wiring.js";

export class Calls {
  readonly wiring: Wiring;

  constructor(wiring: Wiring) {
    this.wiring = wiring;
  }

  /** Rejects with an EtcdError. */
  async unary<Req, Res>(method: Method<Req, Res>, request: DeepPartial<Req>, options: CallOptions = {}): Promise<Res> {
    return (await this.timed(method, request, options)).response;
  }

  /** The response, and when the attempt that got it was sent. */
  async timed<Req, Res>(
    method: Method<Req, Res>,
    request: DeepPartial<Req>,
    options: CallOptions = {},
  ): Promise<{ response: Res; sentAtMs: number }> {
    const message = method.fromPartial(request);
    const scope = this.scope(options, waitsWithoutLimit(method.path) ? "none" : "default");
    const effort = new Effort(this.wiring, method, options, scope);
    try {
      for (;;) {
        const endpoint = await effort.choose();
        try {
          const { connection, wire } = await effort.prepare(endpoint, "calls");
          const response = await connection.unary(method, message, wire);
          effort.succeeded(endpoint, response);
          return { response, sentAtMs: effort.sentAtMs };
        } catch (error) {
          await effort.recover(endpoint, error);
        }
      }
    } finally {
      scope.dispose();
    }
  }

  /** A stream of answers; repeated like a unary call until its first answer, never after. */
  async *serverStream<Req, Res>(
    method: Method<Req, Res>,
    request: DeepPartial<Req>,
    options: CallOptions = {},
  ): AsyncGenerator<Res> {
    const message = method.fromPartial(request);
    const scope = this.scope(options, "none");
    const effort = new Effort(this.wiring, method, options, scope);
    let begun = false;
    try {
      for (;;) {
        const endpoint = await effort.choose();
        try {
          const { connection, wire } = await effort.prepare(endpoint, "streams");
          for await (const response of connection.serverStream(method, message, wire)) {
            begun = true;
            effort.succeeded(endpoint, response);
            yield response;
          }
          return;
        } catch (error) {
          await effort.recover(endpoint, error, begun ? "never" : "may-repeat");
        }
      }
    } finally {
      scope.dispose();
    }
  }

  /** One attempt at a two-way stream; the caller repeats through `effort`. */
  async duplex<Req, Res>(method: Method<Req, Res>, effort: Effort, endpoint: Endpoint): Promise<Duplex<Req, Res>> {
    const { connection, wire } = await effort.prepare(endpoint, "streams");
    return connection.duplex(method, wire);
  }

  /** The bounds of a call. Streams have no deadline unless the caller sets one. */
  private scope(options: CallOptions, deadline: "default" | "none"): CallScope {
    const fallback = deadline === "default" ? this.wiring.settings.timeoutMs : Number.POSITIVE_INFINITY;
    const { closing } = this.wiring;
    const signals = options.signal === undefined ? { closing } : { closing, caller: options.signal };
    const patience = { timeoutMs: options.timeoutMs ?? fallback, endless: false };
    return new CallScope(this.wiring.settings.clock, patience, signals);
  }
}
