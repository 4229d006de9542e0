/** Conformance: what the gRPC door answers to requests that no client library would send. */

import { connect, constants } from "node:http2";
import { createConnection } from "node:net";
import { gzipSync } from "node:zlib";
import { expect } from "vitest";
import { RangeRequest, RangeResponse } from "../../proto/gen/etcd/rpc.js";
import { Code } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { frame, grpcCall, http2Call } from "./http2-call.js";

const RANGE = "/etcdserverpb.KV/Range";

function rangeOf(t: Context): Buffer {
  return Buffer.from(RangeRequest.encode(RangeRequest.fromPartial(t.everything)).finish());
}

/** The member still serves. */
async function alive(t: Context): Promise<void> {
  await t.put("alive");
  expect((await t.get("alive")).count).toBe(1n);
}

conformance("gRPC door: names", (test) => {
  for (const [path, message] of [
    ["/etcdserverpb.KV/Nope", "unknown method Nope for service etcdserverpb.KV"],
    ["/etcdserverpb.KV/range", "unknown method range for service etcdserverpb.KV"],
    ["/etcdserverpb.Nope/Range", "unknown service etcdserverpb.Nope"],
    ["/pkg.Svc/Do", "unknown service pkg.Svc"],
    ["/a/etcdserverpb.KV/Range", "unknown service a/etcdserverpb.KV"],
    [
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      "unknown service grpc.reflection.v1alpha.ServerReflection",
    ],
    ["/nope", 'malformed method name: "/nope"'],
  ] as const) {
    test(`${path} is UNIMPLEMENTED`, async (t) => {
      const reply = await grpcCall(t.server.endpoint, path, { message: rangeOf(t) });
      expect([reply.httpStatus, reply.code, reply.message]).toEqual([200, Code.UNIMPLEMENTED, message]);
      await alive(t);
    });
  }
});

conformance("gRPC door: a path without its slash", (test) => {
  test("is not routed", async (t) => {
    const call = grpcCall(t.server.endpoint, "etcdserverpb.KV/Range", { message: rangeOf(t) });
    const why = "our HTTP/2 layer already refuses such a path and resets the stream";
    const expected = t.differs({
      etcd35: { code: Code.UNIMPLEMENTED, message: 'malformed method name: "etcdserverpb.KV/Range"' },
      ours: { message: "Stream closed with error code NGHTTP2_PROTOCOL_ERROR" },
      why,
    });
    expect(await call.catch((error: Error) => error)).toMatchObject(expected);
    await alive(t);
  });
});

conformance("gRPC door: content type and method", (test) => {
  for (const [name, headers, text] of [
    ["none", {}, 'invalid gRPC request content-type ""'],
    ["JSON", { "content-type": "application/json" }, 'invalid gRPC request content-type "application/json"'],
  ] as const) {
    test(`content type ${name} gets 415 with grpc-status 3`, async (t) => {
      const reply = await http2Call(
        t.server.endpoint,
        { ":method": "POST", ":path": RANGE, ...headers },
        frame(rangeOf(t)),
      );
      expect([reply.httpStatus, reply.code, reply.message]).toEqual([415, Code.INVALID_ARGUMENT, text]);
    });
  }

  test("an HTTP/2 request in clear text for /version reaches gRPC and gets 415", async (t) => {
    const headers = { ":method": "GET", ":path": "/version" };
    const reply = await http2Call(t.server.endpoint, headers, Buffer.alloc(0));
    expect([reply.httpStatus, reply.code]).toEqual([415, Code.INVALID_ARGUMENT]);
  });

  test("application/grpc+proto is taken", async (t) => {
    const headers = { "content-type": "application/grpc+proto" };
    const reply = await grpcCall(t.server.endpoint, RANGE, { message: rangeOf(t), headers });
    expect([reply.httpStatus, reply.code]).toEqual([200, Code.OK]);
  });

  test("a method other than POST is refused", async (t) => {
    const headers = { ":method": "GET" };
    const reply = await grpcCall(t.server.endpoint, RANGE, { message: rangeOf(t), headers });
    expect(reply.httpStatus).toBe(405);
    expect(reply.code).not.toBe(Code.OK);
  });

  test("a gzip message is understood", async (t) => {
    await t.put("a", "v");
    const reply = await grpcCall(t.server.endpoint, RANGE, {
      body: frame(gzipSync(rangeOf(t)), 1),
      headers: { "grpc-encoding": "gzip", "grpc-accept-encoding": "identity" },
    });
    expect(reply.code).toBe(Code.OK);
  });

  test("an unknown encoding is UNIMPLEMENTED", async (t) => {
    const reply = await grpcCall(t.server.endpoint, RANGE, {
      body: frame(rangeOf(t), 1),
      headers: { "grpc-encoding": "weird" },
    });
    expect(reply.code).toBe(Code.UNIMPLEMENTED);
  });

  test("a message that says compressed without an encoding is INTERNAL", async (t) => {
    const reply = await grpcCall(t.server.endpoint, RANGE, { body: frame(rangeOf(t), 1) });
    expect(reply.code).toBe(Code.INTERNAL);
  });
});

conformance("gRPC door: messages", (test) => {
  for (const [name, message] of [
    ["a length beyond the end", [0x0a, 5, 0x61]],
    ["a cut varint", [0xff, 0xff, 0xff]],
    ["a cut field", [0x0a]],
    ["an illegal field number", [0x00, 1]],
    ["a varint of eleven bytes", [0x18, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]],
  ] as const) {
    test(`${name} is INTERNAL and harms nothing`, async (t) => {
      const reply = await grpcCall(t.server.endpoint, RANGE, { message: Buffer.from(message) });
      expect(reply.code).toBe(Code.INTERNAL);
      expect(reply.message).toMatch(/^grpc: error unmarshalling request: /);
      await alive(t);
    });
  }

  test("a field of the wrong type", async (t) => {
    const reply = await grpcCall(t.server.endpoint, RANGE, { message: Buffer.from([0x08, 1]) });
    // protobuf calls it an unknown field (then the key is empty), etcd's decoder an error; neither is an answer.
    expect([Code.INTERNAL, Code.INVALID_ARGUMENT]).toContain(reply.code);
    await alive(t);
  });

  test("an unknown field is skipped", async (t) => {
    await t.put("a", "v");
    const message = Buffer.concat([rangeOf(t), Buffer.from([0xf8, 0x07, 1])]);
    const reply = await grpcCall(t.server.endpoint, RANGE, { message });
    expect(reply.code).toBe(Code.OK);
    const { kvs } = RangeResponse.decode(reply.body.subarray(5));
    expect(t.names(kvs)).toEqual(["a"]);
  });

  test("the last of a field given twice counts", async (t) => {
    await t.putAll("a", "b");
    const again = Buffer.from(RangeRequest.encode(RangeRequest.fromPartial({ key: t.key("b") })).finish());
    const first = Buffer.from(RangeRequest.encode(RangeRequest.fromPartial({ key: t.key("a") })).finish());
    const reply = await grpcCall(t.server.endpoint, RANGE, { message: Buffer.concat([first, again]) });
    expect(t.names(RangeResponse.decode(reply.body.subarray(5)).kvs)).toEqual(["b"]);
  });

  test("a call without a message fails", async (t) => {
    const reply = await grpcCall(t.server.endpoint, RANGE, { body: Buffer.alloc(0) });
    expect(reply.code).not.toBe(Code.OK);
    expect(reply.code).toBeDefined();
    await alive(t);
  });

  test("a frame that ends early fails", async (t) => {
    const reply = await grpcCall(t.server.endpoint, RANGE, { body: frame(rangeOf(t)).subarray(0, 7) });
    expect(reply.code).not.toBe(Code.OK);
    expect(reply.code).toBeDefined();
    await alive(t);
  });

  test("garbage on a watch stream ends that stream alone", async (t) => {
    const watch = await t.watch();
    const reply = await grpcCall(t.server.endpoint, "/etcdserverpb.Watch/Watch", { message: Buffer.from([0x0a, 9]) });
    expect(reply.code).not.toBe(Code.OK);
    await t.put("a", "v");
    expect(t.eventWords(await watch.events(1))).toEqual(["put a=v @1"]);
  });

  for (const [name, bytes] of [
    ["bytes that are no protocol", Buffer.from("\x00\x01\x02 hello\r\n\r\n")],
    [
      "an HTTP/2 preface and then garbage",
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xffgarbage", "latin1"),
    ],
    ["half an HTTP/1 request", Buffer.from("GET /heal")],
    ["nothing", Buffer.alloc(0)],
  ] as const) {
    test(`a connection with ${name} harms nothing`, async (t) => {
      const [host, port] = t.server.endpoint.split(":");
      const socket = createConnection({ host: host ?? "", port: Number(port) });
      const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(bytes);
      await alive(t);
      socket.destroy();
      await closed;
      await alive(t);
    });
  }
});

/** Pings an idle connection without a pause; resolves with what the server says when it closes it. */
function pingUntilClosed(endpoint: string): Promise<{ code: number; text: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${endpoint}`);
    let count = 0;
    const ping = (): void => {
      count += 1;
      if (count > 20) reject(new Error("20 pings were answered"));
      else if (!session.destroyed) session.ping((error) => (error === null ? ping() : undefined));
    };
    session.once("goaway", (code, _, data) => {
      resolve({ code, text: Buffer.from(data ?? []).toString() });
      session.destroy();
    });
    session.on("error", () => undefined);
    session.once("connect", ping);
  });
}

conformance("gRPC door: keepalive", (test) => {
  test("too many pings on an idle connection end it with ENHANCE_YOUR_CALM", async (t) => {
    const { NGHTTP2_ENHANCE_YOUR_CALM } = constants;
    expect(await pingUntilClosed(t.server.endpoint)).toEqual({
      code: NGHTTP2_ENHANCE_YOUR_CALM,
      text: "too_many_pings",
    });
    await alive(t);
  });
});

conformance("gRPC door: metadata", (test) => {
  test("hasleader true is fine while there is a leader", async (t) => {
    const extras = { metadata: { hasleader: "true" } };
    await t.client.put({ key: t.key("a") }, extras);
    expect((await t.client.range({ key: t.key("a") }, extras)).count).toBe(1n);
    expect((await t.client.memberList({}, extras)).members).toHaveLength(1);
  });

  test("other values of hasleader are ignored", async (t) => {
    expect((await t.client.range({ key: t.key("a") }, { metadata: { hasleader: "1" } })).count).toBe(0n);
  });

  test("client-api-version and unknown keys are taken", async (t) => {
    const metadata = { "client-api-version": "3.7", "x-anything": "goes" };
    expect((await t.client.range({ key: t.key("a") }, { metadata })).count).toBe(0n);
  });

  test("a deadline that has passed ends the call", async (t) => {
    const call = t.client.lock({ name: t.key("l"), lease: await t.grant() }, { timeoutMs: -1 });
    await expect(call).rejects.toMatchObject({ code: Code.DEADLINE_EXCEEDED });
  });

  test("100 calls at once over one connection are all answered", async (t) => {
    const replies = await Promise.all(Array.from({ length: 100 }, (_, index) => t.put(`k${index}`)));
    expect(new Set(replies.map(({ header }) => header?.revision)).size).toBe(100);
  });
});
