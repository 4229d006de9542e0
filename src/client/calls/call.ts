/** Makes calls: picks an endpoint, adds token and deadline, and repeats what may be repeated. */
import type {
  DeepPartial,
  RangeResponse,
  TxnRequest,
  TxnResponse,
  WatchCreateRequest,
  WatchResponse,
} from "../../../proto/gen/etcd/rpc.js";
import type { Endpoint } from "../connection/endpoints.js";
import type { Connection, Duplex, Method, MethodFacts, WireCall } from "../connection/transport.js";
import type { EtcdError } from "../errors.js";
import { callsObserved } from "../observe/channels.js";
import { type ObservedCall, observedCall } from "../observe/observed-call.js";
import type { CallOptions } from "../options.js";
import { Effort, type EffortOptions, headerOf, type QuickAttempt } from "./effort.js";
import { factsOf, kvMethods, serializableRange, waitsWithoutLimit } from "./methods.js";
import { MovableDuplex } from "./movable.js";
import { CallScope } from "./scope.js";
import { settled } from "./settle.js";
import type { Wiring } from "./wiring.js";

/** The response, when the attempt that got it was sent, and the failure of an earlier one that may have been applied. */
export interface Timed<Res> {
  readonly response: Res;
  readonly sentAtMs: number;
  readonly doubt: EtcdError | undefined;
}

/** A message, the method it is for, and what is wanted of the call. */
interface Request<Req, Res> {
  readonly method: Method<Req, Res>;
  readonly facts: MethodFacts;
  readonly message: Req;
  readonly options: EffortOptions;
}

/** All that is known without waiting of how a call is sent. */
interface Way {
  readonly endpoint: Endpoint;
  /** Undefined if the endpoint has to be connected to, or to be asked something, first. */
  readonly connection: Connection | undefined;
  readonly token: string | undefined;
}

/** Where a call stands when its effort begins: an endpoint was picked for it, and perhaps it has failed there. */
interface Beginning {
  readonly endpoint: Endpoint;
  readonly failed?: QuickAttempt & { readonly error: unknown };
}

const noOptions: EffortOptions = {};

export class Calls {
  readonly wiring: Wiring;

  constructor(wiring: Wiring) {
    this.wiring = wiring;
  }

  /** Rejects with an EtcdError. */
  unary<Req, Res>(
    method: Method<Req, Res>,
    request: DeepPartial<Req>,
    options: EffortOptions = noOptions,
  ): Promise<Res> {
    try {
      if (callsObserved()) return this.observed(method, request, options).then(responseOf);
      const message = method.fromPartial(request);
      return this.quick({ method, facts: factsOf(method, message), message, options });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `unary`, with what else is known of the answer. */
  async timed<Req, Res>(
    method: Method<Req, Res>,
    request: DeepPartial<Req>,
    options: EffortOptions = noOptions,
  ): Promise<Timed<Res>> {
    return this.observed(method, request, options);
  }

  /** A stream of answers; repeated like a unary call until its first answer, never after. */
  async *serverStream<Req, Res>(
    method: Method<Req, Res>,
    request: DeepPartial<Req>,
    options: CallOptions = {},
  ): AsyncGenerator<Res> {
    const observed = observedCall(method, options, "stream");
    const message = method.fromPartial(request);
    const scope = this.scope(options, "none");
    const effort = new Effort(this.wiring, factsOf(method, message), observed?.options ?? options, scope);
    let begun = false;
    let failure: unknown;
    try {
      for (;;) {
        const endpoint = await effort.choose();
        observed?.attemptStarted();
        endpoint.begin("streams");
        try {
          const { connection, wire } = await effort.prepare(endpoint, "streams");
          for await (const response of connection.serverStream(method, message, wire)) {
            begun = true;
            effort.succeeded(endpoint, response);
            yield response;
          }
          observed?.attemptEnded(endpoint.name);
          return;
        } catch (error) {
          observed?.attemptEnded(endpoint.name, error);
          await effort.recover(endpoint, error, begun ? "never" : "may-repeat");
        } finally {
          endpoint.end("streams");
        }
      }
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      scope.dispose();
      observed?.ended(failure);
    }
  }

  /** One attempt at a two-way stream; the caller repeats through `effort`. It breaks when its endpoint is removed. */
  async duplex<Req, Res>(method: Method<Req, Res>, effort: Effort, endpoint: Endpoint): Promise<Duplex<Req, Res>> {
    // An endpoint that is removed meanwhile closes the connection when this is over.
    endpoint.begin("streams");
    try {
      const { connection, wire } = await effort.prepare(endpoint, "streams");
      const duplex = new MovableDuplex(connection.duplex(method, wire), (stream) => endpoint.carry(stream));
      // A transport may listen to the signal only for what is still to come.
      if (effort.signal.aborted) duplex.cancel();
      return duplex;
    } finally {
      endpoint.end("streams");
    }
  }

  /**
   * A watch as the wire has it: watches of different views share streams. What comes back takes the other way, in place.
   */
  watchOutwards(create: WatchCreateRequest): WatchCreateRequest {
    return create;
  }

  watchInwards(_response: WatchResponse): void {}

  private async observed<Req, Res>(
    method: Method<Req, Res>,
    request: DeepPartial<Req>,
    options: EffortOptions,
  ): Promise<Timed<Res>> {
    const observed = observedCall(method, options, "one answer");
    const message = method.fromPartial(request);
    const whole = { method, facts: factsOf(method, message), message, options: observed?.options ?? options };
    const call = this.attempt(whole, observed);
    return observed === undefined ? call : observed.ending(call);
  }

  /** The way of nearly every call: all is known, and the first attempt succeeds. */
  private quick<Req, Res>(request: Request<Req, Res>): Promise<Res> {
    const way = this.way(request);
    if (way?.connection === undefined) return this.attempt(request, undefined, way).then(responseOf);
    const { method, facts, message, options } = request;
    const { endpoint, connection, token } = way;
    const { wiring } = this;
    const attempt = { sentAtMs: wiring.settings.clock.now(), token, answersBefore: endpoint.answers };
    const wire: WireCall = {
      metadata: wiring.metadata(facts, token, options),
      deadlineMs: this.deadlineMs(facts, options),
      signal: wiring.closing,
    };
    endpoint.begin("calls");
    return sent(connection, method, message, wire).then(
      (response) => {
        endpoint.end("calls");
        try {
          wiring.accept(endpoint, headerOf(response), facts);
          if (facts === serializableRange) wiring.keepOrder(endpoint, headerOf(response));
        } catch (error) {
          return this.goOn(request, endpoint, { ...attempt, error });
        }
        return response;
      },
      (error: unknown) => {
        endpoint.end("calls");
        return this.goOn(request, endpoint, { ...attempt, error });
      },
    );
  }

  private async goOn<Req, Res>(
    request: Request<Req, Res>,
    endpoint: Endpoint,
    failed: QuickAttempt & { readonly error: unknown },
  ): Promise<Res> {
    return (await this.attempt(request, undefined, { endpoint, failed })).response;
  }

  /** Undefined if something has to be waited for before an endpoint can be picked, or something to be watched. */
  private way<Req, Res>({ facts, options }: Request<Req, Res>): Way | undefined {
    const { wiring } = this;
    const { target = "any", signal, sendWhile, timeoutMs = 1 } = options;
    const plain = signal === undefined && sendWhile === undefined && typeof target === "string" && timeoutMs > 0;
    if (!plain || wiring.closing.aborted) return undefined;
    if (wiring.preparations(target, facts) !== undefined) return undefined;
    if (wiring.leaderNews(target, facts) !== undefined) return undefined;
    const leader = wiring.leaderFor(target, facts);
    const endpoint = wiring.endpoints.pick({ target, leader, avoid: undefined, manner: wiring.mannerFor(facts) });
    if (endpoint === undefined) return undefined;
    const connection = endpoint.connection("calls");
    const open = connection.isReady() && (facts.kind !== "write" || wiring.survey.isVerified(endpoint));
    const token = open ? wiring.token(facts.path) : undefined;
    if (open && typeof token !== "object") return { endpoint, connection, token };
    // The login that has begun is waited for by the attempt, which hears of its failure.
    if (typeof token === "object") token.catch(() => {});
    return { endpoint, connection: undefined, token: undefined };
  }

  private async attempt<Req, Res>(
    request: Request<Req, Res>,
    observed: ObservedCall | undefined,
    beginning?: Beginning,
  ): Promise<Timed<Res>> {
    const { method, facts, options } = request;
    const deadline = waitsWithoutLimit(method.path) ? "none" : "default";
    const failed = beginning?.failed;
    const scope = this.scope(options, deadline, failed?.sentAtMs);
    const effort = new Effort(this.wiring, facts, options, scope);
    try {
      let picked = beginning?.endpoint;
      if (picked !== undefined && failed !== undefined) {
        effort.adopt(failed);
        await effort.recover(picked, failed.error);
        picked = undefined;
      }
      for (;;) {
        const endpoint = picked ?? (await effort.choose());
        picked = undefined;
        const response = await this.once(request, effort, endpoint, observed);
        if (response === undefined) continue;
        const { doubt, sentAtMs } = effort;
        if (doubt === undefined) return { response, sentAtMs, doubt };
        return { response: await this.settle(request, response, doubt, scope), sentAtMs, doubt };
      }
    } finally {
      scope.dispose();
    }
  }

  /** One attempt; undefined if it failed and another is to be made. */
  private async once<Req, Res>(
    { method, message }: Request<Req, Res>,
    effort: Effort,
    endpoint: Endpoint,
    observed: ObservedCall | undefined,
  ): Promise<Res | undefined> {
    observed?.attemptStarted();
    endpoint.begin("calls");
    try {
      const { connection, wire } = await effort.prepare(endpoint, "calls");
      const response = await connection.unary(method, message, wire);
      effort.succeeded(endpoint, response);
      observed?.attemptEnded(endpoint.name);
      return response;
    } catch (error) {
      observed?.attemptEnded(endpoint.name, error);
      await effort.recover(endpoint, error);
      return undefined;
    } finally {
      endpoint.end("calls");
    }
  }

  /** A repeated transaction whose guard failed may have been applied the first time. */
  private async settle<Req, Res>(
    { facts, message, options }: Request<Req, Res>,
    response: Res,
    doubt: EtcdError,
    scope: CallScope,
  ): Promise<Res> {
    if (facts.path !== kvMethods.txn.path) return response;
    // The path says what the messages are.
    const txn = { request: message as TxnRequest, response: response as TxnResponse };
    if (txn.response.succeeded) return response;
    const { retry: _, timeoutMs: __, ...bounds } = options;
    const read = async (range: { key: Uint8Array; revision: bigint }): Promise<RangeResponse> => {
      const whole = kvMethods.range.fromPartial(range);
      const within = { ...bounds, timeoutMs: scope.remainingMs() };
      const asked = { method: kvMethods.range, facts: kvMethods.range, message: whole, options: within };
      return (await this.attempt(asked, undefined)).response;
    };
    return (await settled({ ...txn, doubt, read })) as Res;
  }

  /** Time for the call; undefined for no end. */
  private deadlineMs(facts: MethodFacts, { timeoutMs }: CallOptions): number | undefined {
    const fallback = waitsWithoutLimit(facts.path) ? Number.POSITIVE_INFINITY : this.wiring.settings.timeoutMs;
    const ms = timeoutMs ?? fallback;
    return ms === Number.POSITIVE_INFINITY ? undefined : ms;
  }

  /** The bounds of a call. Streams have no deadline unless the caller sets one. */
  private scope(options: CallOptions, deadline: "default" | "none", startedMs?: number): CallScope {
    const fallback = deadline === "default" ? this.wiring.settings.timeoutMs : Number.POSITIVE_INFINITY;
    const { closing } = this.wiring;
    const signals = options.signal === undefined ? { closing } : { closing, caller: options.signal };
    const begin = startedMs === undefined ? {} : { startedMs };
    const patience = { timeoutMs: options.timeoutMs ?? fallback, endless: false, ...begin };
    return new CallScope(this.wiring.settings.clock, patience, signals);
  }
}

function responseOf<Res>({ response }: Timed<Res>): Res {
  return response;
}

/** A transport may refuse a request at once. */
function sent<Req, Res>(connection: Connection, method: Method<Req, Res>, message: Req, wire: WireCall): Promise<Res> {
  try {
    return connection.unary(method, message, wire);
  } catch (error) {
    return Promise.reject(error);
  }
}
