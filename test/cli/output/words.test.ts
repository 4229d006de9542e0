/** Sizes, ids, JSON strings, permissions, help and error texts. */
import { describe, expect, it } from "vitest";
import { globalFlags } from "../../../src/cli/flags.js";
import { deadlineCause, errorText } from "../../../src/cli/output/error-text.js";
import { jsonBytes, jsonObject, jsonString } from "../../../src/cli/output/go-json.js";
import { commandHelp, flagLines } from "../../../src/cli/output/help.js";
import { hexBytes, hexId, humanSize, leaseId, memberLine, percentNotInUse } from "../../../src/cli/output/human.js";
import { revokedText, roleText } from "../../../src/cli/output/permissions.js";
import { EtcdError } from "../../../src/client/index.js";

describe("a size", () => {
  it.each([
    [0n, "0 B"],
    [9n, "9 B"],
    [10n, "10 B"],
    [999n, "999 B"],
    [1_000n, "1.0 kB"],
    [9_949n, "9.9 kB"],
    [9_950n, "10 kB"],
    [20_480n, "20 kB"],
    [20_500n, "20 kB"],
    [21_500n, "22 kB"],
    [2_097_152n, "2.1 MB"],
    [2_147_483_648n, "2.1 GB"],
    [999_950n, "1000 kB"],
    [10n ** 18n, "1.0 EB"],
  ])("of %s bytes is %s", (size, text) => {
    expect(humanSize(size)).toBe(text);
  });

  it("of which little is used shows how much is not", () => {
    expect(percentNotInUse(20_480n, 16_384n)).toBe("20%");
    expect(percentNotInUse(24_576n, 24_576n)).toBe("0%");
    expect(percentNotInUse(0n, 0n)).toBe("0%");
  });
});

describe("ids", () => {
  it("of members are bare hex, of leases 16 digits, and signed leases keep their bits", () => {
    expect(hexId(0xabcn)).toBe("abc");
    expect(leaseId(0xabcn)).toBe("0000000000000abc");
    expect(leaseId(-1n)).toBe("ffffffffffffffff");
    expect(memberLine(0xabcn, "removed from", 0x1234_5678_9abc_def1n)).toBe(
      "Member              abc removed from cluster 123456789abcdef1",
    );
  });
});

describe("bytes", () => {
  it("are shown in hex or base64", () => {
    expect(hexBytes(Uint8Array.of(0, 0x66, 0xff))).toBe("\\x00\\x66\\xff");
    expect(jsonBytes(Uint8Array.of(0, 0xff, 0xfe))).toBe('"AP/+"');
  });
});

describe("a JSON string", () => {
  it("is escaped as Go does it", () => {
    expect(jsonString('<a> & "b"\\')).toBe('"\\u003ca\\u003e \\u0026 \\"b\\"\\\\"');
    expect(jsonString("\b\f\n\r\t\x01\u2028\u2029é")).toBe('"\\b\\f\\n\\r\\t\\u0001\\u2028\\u2029é"');
  });

  it("is not what a member without a value is", () => {
    expect(
      jsonObject([
        ["a", "1"],
        ["b", undefined],
        ["c", "2"],
      ]),
    ).toBe('{"a":1,"c":2}');
  });
});

function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

describe("a permission", () => {
  it("is a prefix when its end says so, and open without a bracket at the end", () => {
    const text = roleText("r", [
      { permType: 0, key: bytes("a"), rangeEnd: bytes("b") },
      { permType: 2, key: bytes("c"), rangeEnd: bytes("k") },
      { permType: 1, key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) },
    ]);
    expect(text).toBe("Role r\nKV Read:\n\t[a, b) (prefix a)\n\t[c, k)\nKV Write:\n\t[c, k)\n\t[\0, <open ended>\n");
  });

  it("is named when it is taken back", () => {
    expect(revokedText("r", "k", new Uint8Array())).toBe("Permission of key k is revoked from role r");
    expect(revokedText("r", "a", bytes("b"))).toBe("Permission of range [a, b) is revoked from role r");
    expect(revokedText("r", "a", Uint8Array.of(0))).toBe("Permission of range [a, <open ended> is revoked from role r");
  });
});

function failure(code: ConstructorParameters<typeof EtcdError>[1]["code"], grpcStatus: number, serverMessage = "") {
  return new EtcdError("our own words", { code, grpcStatus, outcome: "not-applied", serverMessage });
}

describe("an error", () => {
  it("that etcd names is its text alone", () => {
    expect(errorText(failure("KeyNotFound", 3, "etcdserver: key not found"))).toBe("etcdserver: key not found");
  });

  it("that etcd does not name comes with its code", () => {
    expect(errorText(failure("Unsupported", 12, "unknown method RangeStream"))).toBe(
      "rpc error: code = Unimplemented desc = unknown method RangeStream",
    );
    expect(errorText(failure("UnknownMethod", 2, "etcdserver: unknown method"))).toBe(
      "rpc error: code = Unknown desc = etcdserver: unknown method",
    );
  });

  it("that is a deadline is Go's deadline, whoever noticed it, and its cause can be told apart", () => {
    const late = failure("TimedOut", 4);
    expect(errorText(late)).toBe("context deadline exceeded");
    expect(errorText(failure("ConnectFailed", 4))).toBe("context deadline exceeded");
    expect(errorText(failure("DeadlineExceeded", 4, "context deadline exceeded"))).toBe("context deadline exceeded");
    expect(deadlineCause(late)).toBe("our own words");
    expect(deadlineCause(failure("KeyNotFound", 3, "etcdserver: key not found"))).toBeUndefined();
  });

  it("that is a cancellation is Go's cancellation", () => {
    expect(errorText(failure("Aborted", 1))).toBe("context canceled");
  });

  it("that the transport found is in the transport's words", () => {
    const cause = new Error("trying to send message larger than max (9 vs. 8)");
    const error = new EtcdError("a:1: trying", {
      code: "RequestTooLarge",
      grpcStatus: 8,
      outcome: "not-applied",
      cause,
    });
    expect(errorText(error)).toBe(
      "rpc error: code = ResourceExhausted desc = trying to send message larger than max (9 vs. 8)",
    );
  });

  it("of another kind is its message", () => {
    expect(errorText(new TypeError("boom"))).toBe("boom");
  });
});

describe("help", () => {
  it("starts the usage with the line that scripts cut at", () => {
    const text = commandHelp({ usage: "get <key>", text: "Gets", examples: [], flags: {}, part: "usage" });
    expect(text.split("\n")[0]).toBe("Usage:");
    expect(text).not.toContain("Gets");
  });

  it("shows every global flag with its default", () => {
    const lines = flagLines(globalFlags);
    expect(lines.trimEnd().split("\n")).toHaveLength(21);
    expect(lines).toMatch(/-w, --write-out=string +output format: .* \(default "simple"\)/);
    expect(lines).toMatch(/--command-timeout=duration .*\(default 5s\)/);
    expect(lines).toMatch(/--endpoints=list .*\(default 127\.0\.0\.1:2379\)/);
    expect(lines).toMatch(/--insecure-transport .*\(default true\)/);
  });
});
