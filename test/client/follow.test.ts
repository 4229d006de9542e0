/** Following over failures: with a source whose every answer is decided here. */
import { describe, expect, it } from "vitest";
import { CompactedError, EtcdError, type Kv, type Scan, type Watch } from "../../src/client/index.js";
import { startFollow } from "../../src/client/watch/follow.js";

type Source = Pick<Kv, "scan" | "watch">;

function failing(error: Error): AsyncIterator<never> {
  return {
    next: async () => {
      throw error;
    },
  };
}

/** Each scan is empty, or fails with the next of `failures`, where undefined is no failure. Every watch is compacted. */
function sourceWith(failures: (EtcdError | undefined)[]): Source {
  let revision = 10n;
  const scan = (): Scan<string> => ({
    async *pages() {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      yield { revision: revision++, kvs: [] };
    },
    [Symbol.asyncIterator]: () => failing(new Error("nobody reads keys one by one")),
  });
  const watch = (): Watch<string> =>
    ({
      [Symbol.asyncIterator]: () => failing(new CompactedError({ compactRevision: revision, resumeRevision: 1n }, {})),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }) as unknown as Watch<string>;
  return { scan, watch };
}

function failed(facts: { code: "ConnectFailed" | "ClientClosed" | "PermissionDenied"; retryable: boolean }): EtcdError {
  return new EtcdError("no", { grpcStatus: 14, outcome: "not-applied", ...facts });
}

const away = failed({ code: "ConnectFailed", retryable: true });

describe("a follow that lost history to a compaction", () => {
  it("waits for servers that are away, as its watch would have", async () => {
    const steps = startFollow(sourceWith([undefined, away, away, undefined]), "k", {})[Symbol.asyncIterator]();
    expect((await steps.next()).value).toMatchObject({ kind: "snapshot", resync: false });
    expect((await steps.next()).value).toMatchObject({ kind: "snapshot", resync: true, revision: 11n });
  });

  it("ends with the failure when that has lasted too long", async () => {
    const source = sourceWith([undefined, away, away, undefined]);
    const steps = startFollow(source, "k", { maxDisconnectedMs: 0 })[Symbol.asyncIterator]();
    await steps.next();
    await expect(steps.next()).rejects.toBe(away);
  });

  it("ends with a refusal, and without one when its client was closed", async () => {
    const refused = failed({ code: "PermissionDenied", retryable: false });
    const refusing = startFollow(sourceWith([undefined, refused]), "k", {})[Symbol.asyncIterator]();
    await refusing.next();
    await expect(refusing.next()).rejects.toBe(refused);
    const closed = failed({ code: "ClientClosed", retryable: false });
    const closing = startFollow(sourceWith([undefined, closed]), "k", {})[Symbol.asyncIterator]();
    await closing.next();
    expect(await closing.next()).toMatchObject({ done: true });
  });

  it("fails at once when the first snapshot cannot be read", async () => {
    const steps = startFollow(sourceWith([away]), "k", {})[Symbol.asyncIterator]();
    await expect(steps.next()).rejects.toBe(away);
  });
});
