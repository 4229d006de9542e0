/** What a watcher and the stream that carries it are to each other. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { CallOptions } from "../options.js";
import type { Coverage } from "./watch-order.js";

/** A range as the wire has it. */
export type ReadRange = Pick<rpc.RangeRequest, "key" | "rangeEnd">;

/** A watcher, as its stream sees it. None of these throws. */
export interface Rider {
  /** The create request from where the watcher stands. */
  begin(): rpc.WatchCreateRequest;
  confirmed(response: rpc.WatchResponse): void;
  /** A whole message with events or progress. */
  receive(response: rpc.WatchResponse, coverage: Coverage): void;
  /** The server refused or cancelled it: it is no longer on the stream. */
  canceled(response: rpc.WatchResponse): void;
  /** The stream broke, or was left, and will be opened again. */
  detached(cause: unknown): void;
  /** The server has fallen silent; the stream is about to be opened elsewhere. */
  stale(): void;
  /** The stream broke and will not be opened again. */
  failed(error: unknown): void;
  /** Resolves when the reader can take more; undefined if it can now. */
  room(): Promise<void> | undefined;
  /** How far the store has come at least, as another call saw it. */
  heardOf(revision: bigint): void;
  readonly range: ReadRange;
  /** True while someone waits to learn how far the watcher has come. */
  readonly wantsProgress: boolean;
  /** True while it may have history to catch up with. */
  readonly isCatchingUp: boolean;
  /** True while the server may not have reached the watcher's start: it then answers no progress request. */
  readonly serverMayBeSilent: boolean;
}

/** What a stream is opened with; watchers that differ in this cannot share one. */
export type StreamOptions = Pick<CallOptions, "target" | "requireLeader" | "metadata">;
