/** gRPC on the wire as etcd's clients know it: framing, statuses, texts, limits. */
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PutResponse, SnapshotResponse } from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import { InvariantError } from "../../../src/server/invariant.js";
import { describeWithEtcd, startEtcd } from "../http/real-etcd.js";
import {
  ask,
  frame,
  type Harness,
  putBytes,
  putPath,
  putResponseOf,
  type RawRequest,
  startRpc,
  statusOf,
} from "./harness.js";

const header = { clusterId: 1n, memberId: 2n, revision: 3n, raftTerm: 4n };
const watchPath = "/etcdserverpb.Watch/Watch";

let server: Harness;
let received: Uint8Array[] = [];

beforeAll(async () => {
  server = await startRpc({
    kv: {
      put: async ({ value }) => {
        received.push(value);
        return PutResponse.fromPartial({ header });
      },
      range: async () => {
        throw new WireError(status.FutureRev);
      },
      deleteRange: async () => {
        throw new Error("ünexpected: 100% wrong");
      },
      compact: async () => {
        throw new InvariantError("cannot be", {});
      },
    },
    watch: {
      watch: async function* (requests) {
        for await (const request of requests) if (request === undefined) yield undefined as never;
      },
    },
    maintenance: {
      snapshot: async function* (): AsyncGenerator<SnapshotResponse> {
        yield SnapshotResponse.fromPartial({});
      },
    },
  });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** What each bad request is answered with, here and by a real etcd: HTTP status, gRPC status and text. */
const refusals: readonly [what: string, request: RawRequest, httpStatus: number, answer: string][] = [
  ["an unknown method", { path: "/etcdserverpb.KV/Nope" }, 200, "12 unknown method Nope for service etcdserverpb.KV"],
  ["an unknown service", { path: "/a.B/C" }, 200, "12 unknown service a.B"],
  ["a path that is none", { path: "/x" }, 200, '12 malformed method name: "/x"'],
  ["no content type", { headers: { "content-type": undefined } }, 415, '3 invalid gRPC request content-type ""'],
  [
    "another content type",
    { headers: { "content-type": "application/grpc-web" } },
    415,
    '3 invalid gRPC request content-type "application/grpc-web"',
  ],
  [
    "another method of HTTP",
    { headers: { ":method": "PUT" } },
    405,
    '13 Received a HEADERS frame with :method "PUT" which should be POST',
  ],
  [
    "an unknown encoding",
    { headers: { "grpc-encoding": "foo" } },
    200,
    '12 grpc: Decompressor is not installed for grpc-encoding "foo"',
  ],
  [
    "compression without an encoding",
    { body: [frame(putBytes(), 1)] },
    200,
    "13 grpc: compressed flag set with identity or empty encoding",
  ],
  ["an unknown frame flag", { body: [frame(putBytes(), 7)] }, 200, "13 grpc: received unexpected payload format 7"],
  [
    "a message that inflates beyond the limit",
    { headers: { "grpc-encoding": "gzip" }, body: [frame(gzipSync(Buffer.alloc(3_000_000)), 1)] },
    200,
    "8 grpc: received message after decompression larger than max 2097152",
  ],
  ["half a message", { body: [frame(putBytes()).subarray(0, 8)] }, 200, "2 unexpected EOF"],
  ["no message", { body: [] }, 200, "2 EOF"],
  [
    "a message one byte over the limit",
    { body: [frame(Buffer.alloc(2_097_153))] },
    200,
    "8 grpc: received message larger than max (2097153 vs. 2097152)",
  ],
  [
    "the mere header of a huge message",
    { body: [Buffer.from("00ffffffff", "hex")], end: false },
    200,
    "8 grpc: received message larger than max (4294967295 vs. 2097152)",
  ],
  [
    "a field that ends too early",
    { body: [frame(Buffer.from("0a05", "hex"))] },
    200,
    "13 grpc: error unmarshalling request: unexpected EOF",
  ],
  ["a deadline that is over", { headers: { "grpc-timeout": "0n" } }, 200, "4 context deadline exceeded"],
  [
    "a bad message on a stream",
    { path: watchPath, body: [frame(Buffer.from("0aff", "hex"))] },
    200,
    "13 grpc: failed to unmarshal the received message: unexpected EOF",
  ],
  [
    "half a message on a stream",
    { path: watchPath, body: [frame(putBytes()).subarray(0, 7)] },
    200,
    "13 unexpected EOF",
  ],
  [
    "a stream of answers without a request",
    { path: "/etcdserverpb.Maintenance/Snapshot", body: [] },
    200,
    "13 cardinality violation: received no request message from non-client-streaming RPC",
  ],
];

describe("bad requests", () => {
  it.each(refusals)("%s", async (_what, request, httpStatus, answer) => {
    const got = await ask(server.url, request);
    expect([got.httpStatus, statusOf(got)]).toEqual([httpStatus, answer]);
    expect(got.contentType).toBe("application/grpc");
    expect(got.rstCode).toBe(0);
  });

  // Beginnings of texts whose rest differs from etcd's.
  it.each([
    [
      "a tag that is none",
      { body: [frame(Buffer.from("0000", "hex"))] },
      200,
      "13 grpc: error unmarshalling request: ",
    ],
    [
      "a wire type that is none",
      { body: [frame(Buffer.from("07", "hex"))] },
      200,
      "13 grpc: error unmarshalling request: ",
    ],
    [
      "bytes that are no gzip",
      { headers: { "grpc-encoding": "gzip" }, body: [frame(putBytes(), 1)] },
      200,
      "13 grpc: failed to decompress the message: ",
    ],
    ["a deadline that is none", { headers: { "grpc-timeout": "abc" } }, 400, "13 malformed grpc-timeout: "],
  ])("%s", async (_what, request, httpStatus, answer) => {
    const got = await ask(server.url, request);
    expect(got.httpStatus).toBe(httpStatus);
    expect(statusOf(got).slice(0, answer.length)).toBe(answer);
  });

  it("leave the server as it was", async () => {
    expect(statusOf(await ask(server.url))).toBe("0");
  });
});

describeWithEtcd("a real etcd", () => {
  it("answers bad requests with the same statuses and texts", async () => {
    await using etcd = await startEtcd();
    for (const [what, request, httpStatus, answer] of refusals) {
      const got = await ask(`http://${etcd.endpoint}`, request);
      expect([what, got.httpStatus, statusOf(got)]).toEqual([what, httpStatus, answer]);
    }
  });
});

describe("a unary call", () => {
  it("gets headers, one message and trailers", async () => {
    const answer = await ask(server.url);
    expect(answer).toMatchObject({
      httpStatus: 200,
      contentType: "application/grpc",
      grpcStatus: "0",
      grpcMessage: "",
    });
    expect(putResponseOf(answer).header).toEqual(header);
  });

  it("is answered although the caller never closes its side", async () => {
    const answer = await ask(server.url, { end: false });
    expect(statusOf(answer)).toBe("0");
    expect(putResponseOf(answer).header?.revision).toBe(3n);
  });

  it("takes the first of several messages", async () => {
    received = [];
    const body = [frame(putBytes(Buffer.from("1"))), frame(putBytes(Buffer.from("2")))];
    expect(statusOf(await ask(server.url, { body }))).toBe("0");
    expect(received.map((value) => Buffer.from(value).toString())).toEqual(["1"]);
  });

  it("arrives whole in whatever pieces it was sent", async () => {
    received = [];
    const value = Buffer.alloc(300_000, "abc");
    const whole = frame(putBytes(value));
    const pieces = [1, 4, 5, 6, 70_000, 299_999].map((end, at, ends) => whole.subarray(ends[at - 1] ?? 0, end));
    const answer = await ask(server.url, { body: [...pieces, whole.subarray(299_999)] });
    expect(statusOf(answer)).toBe("0");
    expect(Buffer.compare(received[0] ?? new Uint8Array(), value)).toBe(0);
  });

  it("may be exactly as long as the limit", async () => {
    received = [];
    const bare = putBytes(Buffer.alloc(2_000_000)).length - 2_000_000;
    const body = [frame(putBytes(Buffer.alloc(2_097_152 - bare)))];
    expect(body[0]?.length).toBe(2_097_152 + 5);
    expect(statusOf(await ask(server.url, { body }))).toBe("0");
    expect(received[0]?.length).toBe(2_097_152 - bare);
  });

  it("may be compressed", async () => {
    received = [];
    const body = [frame(gzipSync(putBytes(Buffer.from("small"))), 1)];
    expect(statusOf(await ask(server.url, { body, headers: { "grpc-encoding": "gzip" } }))).toBe("0");
    expect(Buffer.from(received[0] ?? []).toString()).toBe("small");
  });

  it.each(["application/grpc+proto", "application/grpc;charset=utf-8", "Application/GRPC"])(
    "may come as %s",
    async (type) => {
      expect(statusOf(await ask(server.url, { headers: { "content-type": type } }))).toBe("0");
    },
  );

  it("fails with the status that its handler throws", async () => {
    const answer = await ask(server.url, { path: "/etcdserverpb.KV/Range", body: [frame(new Uint8Array())] });
    expect(statusOf(answer)).toBe("11 etcdserver: mvcc: required revision is a future revision");
    expect(answer.body.length).toBe(0);
  });

  it("fails with UNKNOWN and the text of any other error, encoded for a header", async () => {
    const answer = await ask(server.url, { path: "/etcdserverpb.KV/DeleteRange", body: [frame(new Uint8Array())] });
    expect(statusOf(answer)).toBe("2 %C3%BCnexpected: 100%25 wrong");
    expect(server.fatal).toEqual([]);
  });

  it("reports a broken invariant to whoever ends the process", async () => {
    const answer = await ask(server.url, { path: "/etcdserverpb.KV/Compact", body: [frame(new Uint8Array())] });
    expect(answer.grpcStatus).toBe("2");
    expect(server.fatal).toEqual([expect.any(InvariantError)]);
  });

  it("keeps fields it does not know out of the way", async () => {
    const unknown = Buffer.concat([putBytes(), Buffer.from("a206021234", "hex")]);
    expect(statusOf(await ask(server.url, { path: putPath, body: [frame(unknown)] }))).toBe("0");
  });
});
