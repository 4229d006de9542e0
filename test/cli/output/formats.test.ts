/** The five formats, every kind of result in each: the texts that scripts parse. */
import { describe, expect, it } from "vitest";
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import { type Format, formatOf, formats, printerOf, ResultPrinter } from "../../../src/cli/output/formats.js";
import type { Result, ResultKind } from "../../../src/cli/output/results.js";
import { header, pair, samples } from "./samples.js";

async function printed(format: Format, result: Result, hex = false): Promise<string> {
  const printer = new ResultPrinter(format, await printerOf(format), { hex });
  const output = printer.print(result);
  return typeof output === "string" ? output : Buffer.from(output).toString("latin1");
}

const kinds = Object.keys(samples) as ResultKind[];

describe("which format knows which result", () => {
  const tabular: readonly ResultKind[] = [
    "endpointHash",
    "endpointHealth",
    "endpointStatus",
    "hashKv",
    "memberList",
    "snapshotStatus",
  ];
  const unsupported: Partial<Record<Format, readonly ResultKind[]>> = {
    fields: ["memberAdd", "memberChange", "moveLeader", "userGet", "userList", "authStatus", "downgrade"],
    protobuf: ["endpointHealth", "endpointStatus", "endpointHash", "hashKv", "snapshotStatus"],
    table: kinds.filter((kind) => !tabular.includes(kind)),
  };

  it.each(formats)("is etcdctl's table for %s", async (format) => {
    const printer = new ResultPrinter(format, await printerOf(format), { hex: false });
    const refused = kinds.filter((kind) => {
      try {
        printer.mustSupport(kind);
        return false;
      } catch (error) {
        expect(error).toMatchObject({ message: `${format} not supported as output format`, exitCode: 4 });
        return true;
      }
    });
    expect(refused.toSorted()).toEqual([...(unsupported[format] ?? [])].toSorted());
  });

  it("is no question for a name that is no format", () => {
    expect(() => formatOf("yaml")).toThrow(
      expect.objectContaining({ message: "unsupported output format", exitCode: 4 }),
    );
  });
});

/** Every sample that the format can show, each under its kind; what no editor would show is spelt out. */
async function gallery(format: Format, hex: boolean): Promise<string> {
  const printer = await printerOf(format);
  const shown = kinds.filter((kind) => printer[kind] !== undefined);
  const parts = await Promise.all(
    shown.map(async (kind) => `== ${kind}\n${await printed(format, samples[kind], hex)}`),
  );
  return Array.from(parts.join(""), visible).join("");
}

function visible(character: string): string {
  const code = character.charCodeAt(0);
  const isPlain = character === "\n" || (code >= 0x20 && code < 0x7f) || code > 0xff;
  return isPlain ? character : `\\x${code.toString(16).padStart(2, "0")}`;
}

describe("what is printed", () => {
  it.each(["simple", "fields", "json", "table"] as const)("in the %s format is as expected", async (format) => {
    await expect(await gallery(format, false)).toMatchFileSnapshot(`expected/${format}.txt`);
  });

  it.each(["simple", "fields", "json", "table"] as const)(
    "with --hex in the %s format is as expected",
    async (format) => {
      await expect(await gallery(format, true)).toMatchFileSnapshot(`expected/${format}-hex.txt`);
    },
  );
});

describe("the simple format", () => {
  it("gives values alone, raw", async () => {
    const response = { header, kvs: [pair("a", Uint8Array.of(0, 0xff)), pair("b", "x")], more: false, count: 2n };
    await expect(printed("simple", { kind: "range", response, valueOnly: true })).resolves.toBe("\x00\xff\nx\n");
  });

  it("says that a lease is gone", async () => {
    const response = { header, ID: 1n, TTL: -1n, grantedTTL: 0n, keys: [] };
    await expect(printed("simple", { kind: "leaseTimeToLive", response, withKeys: true })).resolves.toBe(
      "lease 0000000000000001 already expired\n",
    );
  });

  it("says FAILURE for a transaction whose compares did not hold", async () => {
    const response = { header, succeeded: false, responses: [] };
    await expect(printed("simple", { kind: "txn", response })).resolves.toBe("FAILURE\n");
  });
});

describe("the json format", () => {
  it("leaves out what is zero", async () => {
    const response = { header, kvs: [], more: false, count: 0n };
    await expect(printed("json", { kind: "range", response })).resolves.toBe(
      '{"header":{"cluster_id":1311768467463790321,"member_id":14627392578371190787,"revision":9,"raft_term":2}}\n',
    );
    await expect(printed("json", { kind: "alarm", response: { header: undefined, alarms: [] } })).resolves.toBe("{}\n");
  });

  it("has null for lists that Go never made", async () => {
    await expect(printed("json", { kind: "endpointStatus", endpoints: [] })).resolves.toBe("null\n");
    await expect(
      printed("json", {
        kind: "leaseTimeToLive",
        response: { header: undefined, ID: 1n, TTL: -1n, grantedTTL: 0n, keys: [] },
        withKeys: true,
      }),
    ).resolves.toBe('{"id":1,"ttl":-1,"granted-ttl":0,"keys":null}\n');
    await expect(printed("json", { kind: "leaseList", response: { header: undefined, leases: [] } })).resolves.toBe(
      '{"leases":[]}\n',
    );
  });
});

describe("the protobuf format", () => {
  it("is the bare message", async () => {
    const bytes = Buffer.from(await printed("protobuf", samples.range), "latin1");
    const back = rpc.RangeResponse.decode(bytes);
    expect(back.count).toBe(5n);
    expect(Buffer.from(back.kvs[1]?.value ?? [])).toEqual(Buffer.from([0, 0xff]));
  });

  it("keeps of a watch response only what etcdctl keeps", async () => {
    const back = rpc.WatchResponse.decode(Buffer.from(await printed("protobuf", samples.watch), "latin1"));
    expect(back).toMatchObject({ watchId: 0n, fragment: false, header });
    expect(back.events).toHaveLength(2);
  });

  it.each(["leaseGrant", "leaseTimeToLive", "leaseList", "leaseKeepAlive"] as const)(
    "of %s is the header alone, as with the real tool",
    async (kind) => {
      const bytes = Buffer.from(await printed("protobuf", samples[kind]), "latin1");
      expect(rpc.ResponseHeader.decode(bytes)).toEqual(header);
    },
  );

  it("of a change has the header as its first field", async () => {
    const bytes = Buffer.from(await printed("protobuf", samples.change), "latin1");
    expect(rpc.AuthRoleAddResponse.decode(bytes)).toEqual({ header });
  });

  it("of a change without a header is nothing at all", async () => {
    await expect(printed("protobuf", samples.moveLeader)).resolves.toBe("");
  });
});

describe("the table format", () => {
  it("draws no middle rule when there are no rows", async () => {
    await expect(printed("table", { kind: "endpointHealth", endpoints: [] })).resolves.toBe(
      "┌──────────┬────────┬──────┬───────┐\n│ ENDPOINT │ HEALTH │ TOOK │ ERROR │\n└──────────┴────────┴──────┴───────┘\n",
    );
  });

  it("lets no control character break the frame", async () => {
    const endpoints = [{ endpoint: "a\u001b[31m\n", isHealthy: true, tookNs: 1n, error: "" }];
    const text = await printed("table", { kind: "endpointHealth", endpoints });
    expect(text.split("\n")).toHaveLength(6);
    expect(text).not.toContain("\u001b");
  });
});
