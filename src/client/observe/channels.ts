/**
 * What the client tells of its work, over channels of `node:diagnostics_channel`. Without subscribers a call costs one
 * look at a flag, and nothing is allocated. Messages hold no keys' values, no passwords and no tokens.
 */
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import type { MethodFacts } from "../connection/transport.js";
import type { EtcdError, LeaseLostReason, Outcome } from "../errors.js";

/** One call as its caller made it, with all its attempts. The same object in every message about the call. */
export interface CallFacts {
  /** `/package.Service/Method` */
  readonly path: string;
  /** Whether it is a stream of answers or one. */
  readonly stream: boolean;
  readonly kind: MethodFacts["kind"];
  /**
   * Sent along with every attempt. A subscriber of "litecd:call:start" may add entries, such as a trace's context, for
   * as long as it is being told.
   */
  readonly metadata: Record<string, string>;
}

/** Published in the caller's asynchronous context, before anything else happens. */
export interface CallStart {
  readonly call: CallFacts;
}

export interface CallAttempt {
  readonly call: CallFacts;
  /** From 1. */
  readonly attempt: number;
  readonly endpoint: string;
  /** From picking the endpoint to the answer, connecting and logging in included. */
  readonly durationMs: number;
  /** What the attempt failed with; undefined if it was answered. */
  readonly error: unknown;
}

export interface CallEnd {
  readonly call: CallFacts;
  readonly attempts: number;
  /** The endpoint of the last attempt; undefined if none was picked. */
  readonly endpoint: string | undefined;
  readonly durationMs: number;
  /** What became of the request. */
  readonly outcome: Outcome;
  /** What the caller got; undefined if it got an answer. An EtcdError, unless the caller's own request was at fault. */
  readonly error: EtcdError | Error | undefined;
}

/** "failed" is an attempt to connect that led to no connection. */
export interface ConnectionMessage {
  readonly type: "connected" | "disconnected" | "failed";
  readonly endpoint: string;
  readonly durationMs?: number;
  readonly cause?: Error;
}

/** A watch goes on, on another stream than the one that broke. */
export interface WatchResume {
  /** The next revision it has to deliver. */
  readonly revision: bigint;
  /** From the break until a server confirmed the watch again. */
  readonly disconnectedMs: number;
}

export interface LeaseLost {
  readonly leaseId: bigint;
  readonly reason: LeaseLostReason;
}

/** Who leads, as far as the client knows: undefined after the leader was lost. */
export interface LeaderChange {
  readonly memberId: bigint | undefined;
  readonly term: bigint;
}

/** A token was fetched, or could not be. */
export interface TokenFetch {
  readonly durationMs: number;
  readonly error: unknown;
}

/** The channels and what each carries. */
export interface DiagnosticsMessages {
  readonly "litecd:call:start": CallStart;
  readonly "litecd:call:attempt": CallAttempt;
  readonly "litecd:call:end": CallEnd;
  readonly "litecd:connection": ConnectionMessage;
  readonly "litecd:watch:resume": WatchResume;
  readonly "litecd:lease:lost": LeaseLost;
  readonly "litecd:leader": LeaderChange;
  readonly "litecd:token": TokenFetch;
}
export type DiagnosticsChannel = keyof DiagnosticsMessages;

/**
 * Listens to one channel, for all clients of the process, until disposed. What the listener throws becomes an uncaught
 * exception: the client's work goes on. The same channels are open to `node:diagnostics_channel` itself.
 */
export function observe<Name extends DiagnosticsChannel>(
  name: Name,
  listener: (message: DiagnosticsMessages[Name]) => void,
): Disposable {
  // Only `publish` below writes to these channels, and it is typed by name.
  const untyped = (message: unknown): void => listener(message as DiagnosticsMessages[Name]);
  subscribe(name, untyped);
  return { [Symbol.dispose]: () => void unsubscribe(name, untyped) };
}

const channels = {
  callStart: channel("litecd:call:start"),
  callAttempt: channel("litecd:call:attempt"),
  callEnd: channel("litecd:call:end"),
  connection: channel("litecd:connection"),
  watchResume: channel("litecd:watch:resume"),
  leaseLost: channel("litecd:lease:lost"),
  leader: channel("litecd:leader"),
  token: channel("litecd:token"),
};

/** Whether anyone wants to know of calls. */
export function callsObserved(): boolean {
  return channels.callStart.hasSubscribers || channels.callEnd.hasSubscribers || channels.callAttempt.hasSubscribers;
}

export function publishCallStart(message: CallStart): void {
  channels.callStart.publish(message);
}
export function publishCallAttempt(message: CallAttempt): void {
  channels.callAttempt.publish(message);
}
export function publishCallEnd(message: CallEnd): void {
  channels.callEnd.publish(message);
}
export function publishConnection(message: ConnectionMessage): void {
  if (channels.connection.hasSubscribers) channels.connection.publish(message);
}
export function publishWatchResume(message: WatchResume): void {
  if (channels.watchResume.hasSubscribers) channels.watchResume.publish(message);
}
export function publishLeaseLost(message: LeaseLost): void {
  if (channels.leaseLost.hasSubscribers) channels.leaseLost.publish(message);
}
export function publishLeader(message: LeaderChange): void {
  if (channels.leader.hasSubscribers) channels.leader.publish(message);
}
export function publishToken(message: TokenFetch): void {
  if (channels.token.hasSubscribers) channels.token.publish(message);
}
