/** "Now" as a revision, for all who ask in the same turn by one linearizable read. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Calls } from "../calls/call.js";
import { kvMethods } from "../calls/methods.js";
import { isEtcdError } from "../errors.js";
import type { ReadRange, StreamOptions } from "./rider.js";
import { SharedRead } from "./shared-read.js";

export class NowReader {
  private readonly calls: Calls;
  /** Reads that were not sent yet: others may join them, as all they need is a read that comes after their call. */
  private readonly unsent = new Map<string, SharedRead<rpc.ResponseHeader | undefined>>();

  constructor(calls: Calls) {
    this.calls = calls;
  }

  /**
   * A header with the store's revision at some time after the call; undefined if the caller may not read the range. Rejects with an
   * EtcdError when no server could be asked.
   */
  async read(range: ReadRange, options: StreamOptions, signal: AbortSignal): Promise<rpc.ResponseHeader | undefined> {
    const { auth } = this.calls.wiring.settings;
    // Who may read one range may not read another, so with permissions everyone asks for their own.
    if (auth !== undefined) return this.ask(range, options, signal);
    const key = keyOf(options);
    const unsent = this.unsent.get(key);
    const joined = unsent?.over === false ? unsent : this.inThisTurn(key, range, options);
    const header = await joined.join(signal);
    return header ?? this.ask(range, options, signal);
  }

  private inThisTurn(
    key: string,
    range: ReadRange,
    options: StreamOptions,
  ): SharedRead<rpc.ResponseHeader | undefined> {
    const reading: SharedRead<rpc.ResponseHeader | undefined> = new SharedRead(async (signal) => {
      await Promise.resolve();
      if (this.unsent.get(key) === reading) this.unsent.delete(key);
      return this.ask(range, options, signal);
    });
    this.unsent.set(key, reading);
    return reading;
  }

  private async ask(
    { key, rangeEnd }: ReadRange,
    options: StreamOptions,
    signal: AbortSignal,
  ): Promise<rpc.ResponseHeader | undefined> {
    try {
      const bounds = { ...options, signal, timeoutMs: Number.POSITIVE_INFINITY };
      return (await this.calls.unary(kvMethods.range, { key, rangeEnd, countOnly: true }, bounds)).header;
    } catch (error) {
      if (isEtcdError(error) && error.serverMessage !== "" && !error.retryable) return undefined;
      throw error;
    }
  }
}

/** The same text for options that lead to the same place. */
export function keyOf({ target, requireLeader, metadata }: StreamOptions): string {
  const words = [target, requireLeader, metadata];
  return JSON.stringify(words, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
}
