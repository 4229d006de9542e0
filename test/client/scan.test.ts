/** Scans: every key once, at one revision, whatever happens to the streams and pages they come by. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bytes,
  createClient,
  type EtcdClient,
  isEtcdError,
  type KeyValue,
  type ScanOptions,
} from "../../src/client/index.js";
import { StoreTransport, type StreamFate } from "../support/store-transport.js";

const name = (index: number): string => `k/${String(index).padStart(4, "0")}`;

async function filled(count: number, transport: StoreTransport, value = "v"): Promise<EtcdClient> {
  const client = createClient({ endpoints: "store", transport });
  for (let index = 0; index < count; index++) await client.put(name(index), `${value}${index}`);
  transport.requests.length = 0;
  return client;
}

async function keysOf(client: EtcdClient, options: ScanOptions = {}): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of client.scan({ prefix: "k/" }, options)) keys.push(key);
  return keys;
}

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => name(index));
const requestNames = (transport: StoreTransport): string[] => transport.requests.map((request) => request.name);

describe("a scan", () => {
  it("is the list, whatever becomes of its streams", async () => {
    const fate = fc.oneof<fc.Arbitrary<StreamFate>[]>(
      fc.constantFrom("whole", "unimplemented"),
      fc.nat(4).map((breakAfter) => ({ breakAfter })),
      fc.nat(4).map((endAfter) => ({ endAfter })),
    );
    const plan = fc.record({
      count: fc.nat(40),
      first: fc.array(fate, { maxLength: 6 }),
      pageSize: fc.integer({ min: 1, max: 20 }),
      partKeys: fc.integer({ min: 1, max: 5 }),
      keysOnly: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ count, first, pageSize, partKeys, keysOnly }) => {
        const transport = new StoreTransport({ first });
        transport.partKeys = partKeys;
        await using client = await filled(count, transport);
        await client.put("l", "outside");
        const listed = await client.list({ prefix: "k/" }, { keysOnly });
        const scanned: KeyValue<string>[] = [];
        for await (const kv of client.scan({ prefix: "k/" }, { keysOnly, pageSize })) scanned.push(kv);
        expect(scanned).toEqual(listed.kvs);
      }),
      { numRuns: 150 },
    );
  });

  it("stays at the revision it began at while others write", async () => {
    for (const always of ["whole", "unimplemented"] as const) {
      await using client = await filled(30, new StoreTransport({ always }));
      const revision = (await client.last({ prefix: "k/" }))?.modRevision;
      const seen: string[] = [];
      for await (const page of client.scan({ prefix: "k/" }, { pageSize: 4 }).pages()) {
        expect(page.revision).toBe(revision);
        seen.push(...page.kvs.map((kv) => `${kv.key}=${kv.value}`));
        await client.put(name(29), "changed");
        await client.delete(name(28));
        await client.put(name(30), "new");
      }
      expect(seen).toEqual(names(30).map((key, index) => `${key}=v${index}`));
    }
  });

  it("asks for a stream once per cluster that has none, and pages from then on", async () => {
    const transport = new StoreTransport({ always: "unimplemented" });
    await using client = await filled(40, transport);
    expect(await keysOf(client)).toEqual(names(40));
    expect(requestNames(transport).filter((each) => each === "RangeStream")).toHaveLength(1);
    transport.requests.length = 0;
    expect(await keysOf(client)).toEqual(names(40));
    for await (const page of client.as(bytes).scan({ all: true }).pages()) expect(page.kvs).not.toEqual([]);
    expect(requestNames(transport)).not.toContain("RangeStream");
  });

  it("asks again on behalf of another client", async () => {
    const transport = new StoreTransport({ always: "unimplemented" });
    await using client = await filled(20, transport);
    await using other = createClient({ endpoints: "store", transport });
    const streamsAsked = async (by: EtcdClient): Promise<number> => {
      transport.requests.length = 0;
      await keysOf(by);
      return requestNames(transport).filter((each) => each === "RangeStream").length;
    };
    expect([await streamsAsked(client), await streamsAsked(client), await streamsAsked(other)]).toEqual([1, 0, 1]);
  });

  it("of a range that fits into a page is one request", async () => {
    const transport = new StoreTransport();
    await using client = await filled(16, transport);
    expect(await keysOf(client)).toHaveLength(16);
    expect(requestNames(transport)).toEqual(["Range"]);
  });

  it("reads by stream behind its first page where the server streams", async () => {
    const transport = new StoreTransport();
    await using client = await filled(40, transport);
    await keysOf(client);
    expect(requestNames(transport)).toEqual(["Range", "RangeStream"]);
  });

  it("goes on behind the last key when a stream breaks, ends early or falls silent", async () => {
    for (const fate of [{ breakAfter: 2 }, { endAfter: 2 }, { hangAfter: 2 }]) {
      const transport = new StoreTransport({ first: [fate] });
      await using client = await filled(40, transport);
      expect(await keysOf(client, { timeoutMs: 200 })).toEqual(names(40));
      expect(requestNames(transport)).toEqual(
        ["Range", "RangeStream", "Range", "RangeStream"].slice(0, transport.requests.length),
      );
      expect(transport.requests.length).toBeGreaterThan(2);
    }
  });

  it("asks for fewer keys where values are large, and for more where they are small", async () => {
    const small = new StoreTransport({ always: "unimplemented" });
    await using tiny = await filled(700, small);
    await keysOf(tiny);
    const limits = small.requests.flatMap((request) => (request.name === "Range" ? [request.limit] : []));
    expect(limits).toEqual([16, 128, 512, 512].slice(0, limits.length));

    const large = new StoreTransport({ always: "unimplemented" });
    await using heavy = createClient({ endpoints: "store", transport: large, requestBytesMax: 4 * 1024 * 1024 });
    const value = "x".repeat(400 * 1024);
    for (let index = 0; index < 24; index++) await heavy.put(name(index), value);
    large.requests.length = 0;
    await keysOf(heavy);
    expect(large.requests.filter((each) => each.name === "Range").map((each) => each.limit)).toEqual([16, 2, 2, 2, 2]);
  });

  it("ends in Aborted when its signal does, in the middle of a stream that is silent", async () => {
    const transport = new StoreTransport({ always: { hangAfter: 1 } });
    await using client = await filled(40, transport);
    const controller = new AbortController();
    const seen: string[] = [];
    const failure = await (async () => {
      for await (const { key } of client.scan({ prefix: "k/" }, { signal: controller.signal })) {
        if (seen.push(key) === 19) setImmediate(() => controller.abort(new Error("enough")));
      }
      return undefined;
    })().catch((error: unknown) => error);
    expect(isEtcdError(failure, "Aborted")).toBe(true);
    expect(seen).toEqual(names(19));
  });

  it("closes its stream when the reader leaves", async () => {
    const transport = new StoreTransport();
    await using client = await filled(60, transport);
    let count = 0;
    for await (const kv of client.scan({ prefix: "k/" })) if (kv.key && ++count === 25) break;
    expect(transport.streamsOpen).toBe(0);
    expect(requestNames(transport)).toEqual(["Range", "RangeStream"]);
  });

  it("tells the revision of a range without keys", async () => {
    await using client = await filled(1, new StoreTransport());
    const pages: unknown[] = [];
    for await (const page of client.scan({ prefix: "none/" }).pages()) pages.push(page);
    expect(pages).toEqual([{ revision: 2n, kvs: [] }]);
  });

  it("may be read again, and is a new one then", async () => {
    await using client = await filled(3, new StoreTransport());
    const scan = client.scan({ prefix: "k/" }, { keysOnly: true });
    const read = async (): Promise<number> => {
      let count = 0;
      for await (const kv of scan) count += kv.value === "" ? 1 : 0;
      return count;
    };
    expect(await read()).toBe(3);
    await client.put(name(3), "");
    expect(await read()).toBe(4);
  });
});
