/** Values on their way to bytes and back, and what becomes of those that do not come back. */
import { describe, expect, it } from "vitest";
import {
  bytes,
  type Codec,
  createClient,
  DecodeError,
  isEtcdError,
  json,
  jsonReplacer,
  utf8,
} from "../../src/client/index.js";
import { StoreTransport } from "../support/store-transport.js";

interface Port {
  readonly port: number;
}
const port = json<Port>({
  "~standard": {
    validate: (value) =>
      typeof value === "object" && value !== null && "port" in value && typeof value.port === "number"
        ? { value: { port: value.port } }
        : { issues: [{ message: "expected a number", path: ["ports", { key: 0 }, "port"] }] },
  },
});

function storeClient() {
  return createClient({ endpoints: "store", transport: new StoreTransport() });
}

describe("text, bytes and JSON", () => {
  it("come back as they were", () => {
    expect(utf8.decode(utf8.encode("\uFEFFgrüße 🌍"))).toBe("\uFEFFgrüße 🌍");
    expect(bytes.decode(bytes.encode(Uint8Array.of(0, 255)))).toEqual(Uint8Array.of(0, 255));
    expect(json().decode(json().encode({ a: [1, null, "é"] }))).toEqual({ a: [1, null, "é"] });
  });

  it("refuse to write what JSON cannot say instead of writing nothing", () => {
    expect(() => json().encode(undefined)).toThrow(new TypeError("JSON has no word for undefined"));
    expect(() => json().encode(1n)).toThrow(TypeError);
  });

  it("do not quote a value that is no JSON", () => {
    expect(() => json().decode(utf8.encode("secret-token"))).toThrow(new TypeError("the value is no JSON (12 bytes)"));
    expect(() => json().decode(Uint8Array.of(0x22, 0xff, 0x22))).toThrow("no JSON (3 bytes)");
  });
});

describe("a schema", () => {
  it("makes what is read, and says where a value does not fit", () => {
    expect(port.decode(utf8.encode('{"port":1,"more":2}'))).toEqual({ port: 1 });
    expect(() => port.decode(utf8.encode("{}"))).toThrow(
      "the value does not fit its schema: ports.0.port: expected a number",
    );
  });

  it("that is asynchronous is refused, and its failure ends nothing", () => {
    const slow = json({ "~standard": { validate: () => Promise.reject(new Error("later")) } });
    expect(() => slow.decode(utf8.encode("1"))).toThrow("the schema of a codec must validate synchronously");
  });
});

describe("a value that cannot be decoded", () => {
  it("spoils itself and not the list it is in", async () => {
    const client = storeClient();
    await client.put("ports/a", '{"port":1}');
    const { header } = await client.put("ports/b", "no secret in errors");
    await client.put("ports/c", '{"port":3}');
    const { kvs } = await client.as(port).list({ prefix: "ports/" });
    expect(kvs.map((kv) => kv.key)).toEqual(["ports/a", "ports/b", "ports/c"]);
    expect([kvs[0]?.value.port, kvs[2]?.value.port]).toEqual([1, 3]);
    const failure = thrownBy(() => kvs[1]?.value);
    expect(failure).toBeInstanceOf(DecodeError);
    expect(failure).toMatchObject({ code: "Decode", key: "ports/b", modRevision: header.revision });
    expect(isEtcdError(failure, "Decode")).toBe(true);
    expect(textsOf(failure)).not.toContain("secret");
    await client.close();
  });

  it("does not make a put look as if it had failed", async () => {
    const client = storeClient();
    await client.put("k", "?");
    const put = await client.as(port).put("k", { port: 2 }, { previous: true });
    expect(put.previous?.version).toBe(1);
    expect(() => put.previous?.value).toThrow(DecodeError);
    const { previous } = await client.as(port).delete("k", { previous: true });
    expect(previous[0]?.value).toEqual({ port: 2 });
    await client.close();
  });

  it("is thrown by a scan only to who reads it", async () => {
    const client = storeClient();
    for (const key of ["a", "b", "c"]) await client.put(key, key === "b" ? "?" : "1");
    const seen: string[] = [];
    for await (const kv of client.as(json<number>()).scan({ all: true })) {
      seen.push(
        isEtcdError(
          thrownBy(() => kv.value),
          "Decode",
        )
          ? `${kv.key}!`
          : `${kv.key}${kv.value}`,
      );
    }
    expect(seen).toEqual(["a1", "b!", "c1"]);
    await client.close();
  });
});

describe("a codec", () => {
  it("that keeps its bytes gets its own, and one that borrows them does not pay for a copy", async () => {
    const client = storeClient();
    await client.put("k", "value");
    const given: Uint8Array[] = [];
    const keeping: Codec<Uint8Array> = { encode: (value) => value, decode: (value) => (given.push(value), value) };
    await client.as(keeping).get("k");
    await client.as({ ...keeping, borrows: true }).get("k");
    const [own, borrowed] = given;
    expect(own?.buffer.byteLength).toBe(5);
    expect(borrowed?.buffer.byteLength).toBeGreaterThan(5);
    await client.close();
  });

  it("may throw when it writes, and nothing is sent", async () => {
    const transport = new StoreTransport();
    const client = createClient({ endpoints: "store", transport });
    const view = client.as<string>({
      encode: () => {
        throw new RangeError("too long");
      },
      decode: (value) => utf8.decode(value),
    });
    await expect(view.put("k", "v")).rejects.toThrow(new RangeError("too long"));
    expect(transport.requests).toEqual([]);
    await client.close();
  });
});

describe("the JSON of results", () => {
  it("has ids as decimal text and bytes as base64", async () => {
    const client = storeClient();
    await client.as(bytes).put(Uint8Array.of(107), Uint8Array.of(1, 2));
    const text = JSON.stringify(await client.as(bytes).get("k"), jsonReplacer);
    expect(JSON.parse(text)).toEqual({
      key: "k",
      keyBytes: "aw==",
      value: "AQI=",
      createRevision: "2",
      modRevision: "2",
      version: 1,
    });
    await client.close();
  });
});

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The texts of an error and of all that caused it. */
function textsOf(error: unknown): string {
  return error instanceof Error ? `${error.message} ${textsOf(error.cause)}` : "";
}
