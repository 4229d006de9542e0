/** The errors that end calls, with all that is known of what went wrong. */
import { Code } from "../../../proto/status.js";
import type { Endpoints } from "../connection/endpoints.js";
import type { MethodFacts, TransportError } from "../connection/transport.js";
import { EtcdError, type EtcdErrorFacts, UnsupportedError } from "../errors.js";
import type { Judgement } from "./retry.js";

export type CallFacts = Pick<EtcdErrorFacts, "outcome" | "endpoint" | "attempts">;

/** The error for a failure that ends the call. */
export function failureOf(
  method: MethodFacts,
  judgement: Judgement,
  known: CallFacts,
  cause: TransportError,
): EtcdError {
  const text = judgement.serverMessage === "" ? `${known.endpoint}: ${cause.message}` : judgement.serverMessage;
  const facts: EtcdErrorFacts = {
    ...known,
    code: judgement.code,
    grpcStatus: cause.grpcStatus,
    retryable: judgement.passing,
    serverMessage: judgement.serverMessage,
    cause,
  };
  if (facts.code === "Unsupported" && known.outcome === "not-applied") return new UnsupportedError(method.path, facts);
  return new EtcdError(text, facts);
}

/** No answer in time. Names why each endpoint failed last; if several did, `cause` holds all of them. */
export function timedOut(
  method: MethodFacts,
  { timeoutMs, everSent }: { readonly timeoutMs: number; readonly everSent: boolean },
  facts: CallFacts,
  { endpoints, cause }: { readonly endpoints: Endpoints; readonly cause: unknown },
): EtcdError {
  const failed = endpoints.all().flatMap(({ name, failure }) => (failure === undefined ? [] : [{ name, ...failure }]));
  const texts = failed.map((failure) => `${failure.name}: ${failure.cause.message}`);
  const { lookUpFailure } = endpoints;
  if (lookUpFailure !== undefined) texts.push(lookUpFailure.message);
  const why = texts.length === 0 ? "" : ` (${texts.join("; ")})`;
  const text = `${nameOf(method)}: no answer within ${timeoutMs} ms${why}`;
  const causes = failed.map((failure) => failure.cause);
  return new EtcdError(text, {
    ...facts,
    code: everSent ? "TimedOut" : "ConnectFailed",
    grpcStatus: Code.DEADLINE_EXCEEDED,
    retryable: true,
    cause: causes.length > 1 ? new AggregateError(causes, "no endpoint works") : (causes[0] ?? lookUpFailure ?? cause),
  });
}

export function clientClosed(method: MethodFacts, facts: CallFacts, cause: unknown): EtcdError {
  const text = `${nameOf(method)}: the client is closed`;
  return new EtcdError(text, { ...facts, code: "ClientClosed", grpcStatus: Code.CANCELLED, cause });
}

/** `reason` is the one of the caller's signal. */
export function givenUp(method: MethodFacts, facts: CallFacts, reason: unknown): EtcdError {
  const text = `${nameOf(method)}: given up`;
  return new EtcdError(text, { ...facts, code: "Aborted", grpcStatus: Code.CANCELLED, cause: reason });
}

export function unknownMember(memberId: bigint, facts: CallFacts): EtcdError {
  return new EtcdError(`no endpoint is member ${memberId.toString(16)}`, {
    ...facts,
    code: "UnknownMember",
    grpcStatus: Code.OK,
  });
}

/** The same error, of a call of which an earlier attempt may have been applied. */
export function asUnknown(error: EtcdError): EtcdError {
  const { message, code, grpcStatus, endpoint, attempts, serverMessage, cause } = error;
  return new EtcdError(message, { code, grpcStatus, endpoint, attempts, serverMessage, cause, outcome: "unknown" });
}

function nameOf({ path }: MethodFacts): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
