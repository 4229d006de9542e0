/** Names in certificates, and whether a caller lives where its certificate says. */
import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addressProblem, type NameService, systemNames } from "../../../src/server/tls/caller-address.js";
import { alternativeNamesOf, chainOf, commonNameOf, isFor, ruleProblem } from "../../../src/server/tls/names.js";
import { Authority, type CertificateOptions } from "../../support/certificates.js";

let authority: Authority;

beforeAll(async () => {
  authority = await Authority.create("namer");
});

afterAll(() => authority.remove());

async function certificate(options: CertificateOptions): Promise<X509Certificate> {
  return new X509Certificate((await authority.issue(options)).cert);
}

describe("a common name", () => {
  it("is that of the certificate, the last of several, or none", async () => {
    expect(commonNameOf(await certificate({ commonName: "alice" }))).toBe("alice");
    expect(commonNameOf(await certificate({ commonName: "alice, CN=bob" }))).toBe("bob");
    expect(commonNameOf(await certificate({}))).toBeUndefined();
  });

  it("is not that of somebody who writes it into his own", async () => {
    expect(commonNameOf(await certificate({ commonName: "mallory\\, CN\\=root" }))).toBe("mallory, CN=root");
    expect(commonNameOf(await certificate({ commonName: "mallory\\0ACN=root" }))).not.toBe("root");
  });
});

describe("a rule", () => {
  it("lets in by common name exactly", async () => {
    const rule = { kind: "commonNames", names: ["alice", "carol"] } as const;
    expect(ruleProblem(await certificate({ commonName: "carol" }), rule)).toBeUndefined();
    for (const commonName of ["bob", "Alice", "alice "]) {
      expect(
        ruleProblem(await certificate({ commonName: commonName.trim() === "alice" ? "alicea" : commonName }), rule),
      ).toBe("client certificate authentication failed");
    }
    expect(ruleProblem(await certificate({}), rule)).toBe("client certificate authentication failed");
  });

  it("lets in by host name: wildcards count, the common name does not", async () => {
    const rule = { kind: "hostnames", names: ["m1.example.com", "10.0.0.1"] } as const;
    const allowed = async (commonName: string, names: readonly string[]) =>
      ruleProblem(await certificate({ commonName, names }), rule) === undefined;
    expect(await allowed("x", ["DNS:m1.example.com"])).toBe(true);
    expect(await allowed("x", ["DNS:*.example.com"])).toBe(true);
    expect(await allowed("x", ["IP:10.0.0.1"])).toBe(true);
    expect(await allowed("m1.example.com", ["DNS:m2.example.com"])).toBe(false);
    expect(await allowed("m1.example.com", [])).toBe(false);
    expect(await allowed("x", ["DNS:m*.example.com"])).toBe(false);
    expect(await allowed("x", ["DNS:10.0.0.1"])).toBe(false);
  });

  it("lets in anybody when there is none", async () => {
    expect(ruleProblem(await certificate({}), { kind: "any" })).toBeUndefined();
  });
});

describe("alternative names", () => {
  it("are taken apart as they were put in", async () => {
    const names = ["DNS:a.example", "IP:10.0.0.1", "DNS:*.b.example", "IP:::1"];
    expect(alternativeNamesOf(await certificate({ names }))).toEqual({
      dnsNames: ["a.example", "*.b.example"],
      addresses: ["10.0.0.1", "0:0:0:0:0:0:0:1"],
    });
    expect(alternativeNamesOf(await certificate({ names: [] }))).toEqual({ dnsNames: [], addresses: [] });
  });

  it("cannot pose as two", async () => {
    const cunning = await certificate({ names: ["DNS:a, IP Address:127.0.0.1", 'DNS:b", DNS:c'] });
    expect(alternativeNamesOf(cunning)).toEqual({
      dnsNames: ["a, IP Address:127.0.0.1", 'b", DNS:c'],
      addresses: [],
    });
    expect(isFor(cunning, "127.0.0.1")).toBe(false);
  });
});

describe("a chain", () => {
  it("ends, whatever vouches for what", async () => {
    const selfSigned = new X509Certificate(authority.ca);
    expect([...chainOf(selfSigned)]).toHaveLength(1);
  });
});

describe("a caller's address", () => {
  const known: NameService = {
    reverse: (address) =>
      address === "10.0.0.7"
        ? Promise.resolve(["M7.example.com.", "other.example.org"])
        : Promise.reject(new Error("not found")),
    addresses: (name) =>
      name === "m8.example.com" ? Promise.resolve(["10.0.0.8", "fd00::8"]) : Promise.reject(new Error("not found")),
  };
  it.each<[readonly string[], string, boolean]>([
    [[], "192.0.2.1", true],
    [["IP:10.0.0.7"], "10.0.0.7", true],
    [["IP:10.0.0.7"], "::ffff:10.0.0.7", true],
    [["IP:10.0.0.7"], "10.0.0.6", false],
    [["IP:fd00::8"], "fd00::8", true],
    [["DNS:m7.example.com"], "10.0.0.7", true],
    [["DNS:*.example.com"], "10.0.0.7", true],
    [["DNS:*.example.net"], "10.0.0.7", false],
    [["DNS:m8.example.com"], "10.0.0.8", true],
    [["DNS:m8.example.com"], "fd00::8", true],
    [["DNS:m8.example.com"], "10.0.0.9", false],
    [["DNS:*.example.com"], "10.0.0.8", false],
    [["IP:10.0.0.1", "DNS:m8.example.com"], "10.0.0.8", true],
    [["IP:10.0.0.1", "DNS:m9.example.com"], "10.0.0.8", false],
  ])("of a certificate for %j may be %s: %s", async (names, address, isAllowed) => {
    const problem = await addressProblem(await certificate({ names }), address, known);
    expect(problem === undefined).toBe(isAllowed);
    if (!isAllowed) expect(problem).toContain(`and its owner calls from ${address}`);
  });

  it("is looked up by the system otherwise", async () => {
    expect(
      await addressProblem(await certificate({ names: ["DNS:localhost"] }), "127.0.0.1", systemNames),
    ).toBeUndefined();
    const nowhere = await certificate({ names: ["DNS:nowhere.invalid"] });
    expect(await addressProblem(nowhere, "127.0.0.1", systemNames)).toBeDefined();
  });
});
