/** Revocation lists as authorities make them, and as nobody should. */
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DerError, integerOf, valuesIn } from "../../../src/server/tls/der.js";
import { RevocationList, revokedSerials } from "../../../src/server/tls/revocation.js";
import { Authority, type Issued } from "../../support/certificates.js";
import { logTo } from "./material.js";

let authority: Authority;
let good: Issued;
let bad: Issued;

beforeAll(async () => {
  authority = await Authority.create("revoker");
  good = await authority.issue();
  bad = await authority.issue();
});

afterAll(() => authority.remove());

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]*-----/g, ""), "base64");
}

function openList(path: string, lines: string[] = []): RevocationList {
  return new RevocationList({ flag: "--client-crl-file", path }, logTo(lines));
}

function verdict(list: RevocationList, { cert }: Issued): string | undefined {
  return list.problem([new X509Certificate(cert)]);
}

describe("a revocation list", () => {
  it("names who is revoked and nobody else, in PEM, in DER, and several in one file", async () => {
    const pem = await authority.revocationList([bad]);
    const other = await Authority.create("other");
    const files = [
      authority.write("one.pem", pem),
      authority.write("two.pem", `${await other.revocationList([])}${pem}`),
      authority.write("no-label.pem", pem.replaceAll("X509 CRL", "CRL")),
    ];
    const der = join(authority.directory, "one.der");
    writeFileSync(der, derOf(pem));
    for (const path of [...files, der]) {
      const list = openList(path);
      expect(verdict(list, good)).toBeUndefined();
      expect(verdict(list, bad)).toBe(`certificate serial ${bad.serial} revoked`);
    }
    other.remove();
  });

  it("counts for the whole chain", async () => {
    const list = openList(authority.write("chain.pem", await authority.revocationList([bad])));
    const chain = [good, bad].map(({ cert }) => new X509Certificate(cert));
    expect(list.problem(chain)).toContain("revoked");
  });

  it("is read again, and stays in force when it cannot be", async () => {
    const lines: string[] = [];
    const path = authority.write("changing.pem", await authority.revocationList([]));
    const list = openList(path, lines);
    expect(verdict(list, bad)).toBeUndefined();
    const full = await authority.revocationList([bad]);
    writeFileSync(path, full);
    expect(verdict(list, bad)).toContain("revoked");
    for (const broken of ["", full.slice(0, 200), full.replace("END", "EMD"), "nonsense"]) {
      writeFileSync(path, broken);
      expect(verdict(list, bad)).toContain("revoked");
      expect(verdict(list, bad)).toContain("revoked");
    }
    rmSync(path);
    expect(verdict(list, bad)).toContain("revoked");
    const complaints = lines.filter((line) => line.includes("that of before stays in force"));
    expect(complaints.length).toBeGreaterThan(1);
    expect(new Set(complaints.map((line) => line.replace(/"ts":"[^"]*"/, ""))).size).toBe(complaints.length);
    writeFileSync(path, await authority.revocationList([]));
    expect(verdict(list, bad)).toBeUndefined();
  });

  it("must be there and be one when the server starts", async () => {
    expect(() => openList("/nowhere/crl.pem")).toThrow("--client-crl-file=/nowhere/crl.pem cannot be read: ENOENT");
    const certificate = authority.write("certificate.pem", good.cert);
    expect(() => openList(certificate)).toThrow("is no revocation list: it holds something else, or breaks off");
    const nothing = authority.write("nothing.pem", "");
    expect(() => openList(nothing)).toThrow("is no revocation list");
  });

  it("is understood as openssl makes it", () => {
    const file = (name: string): string => join(authority.directory, name);
    const config = [
      "[ca]\ndefault_ca=d\n[d]",
      `database=${file("index.txt")}`,
      `crlnumber=${file("crlnumber")}`,
      "default_md=sha256\ndefault_crl_days=2\n",
    ].join("\n");
    authority.write("openssl.cnf", config);
    authority.write("index.txt", `R\t300101000000Z\t261101000000Z,keyCompromise\t0A0B0C\tunknown\t/CN=x\n`);
    authority.write("crlnumber", "01\n");
    const subject = ["-subj", "/CN=openssl", "-days", "2", "-nodes"];
    openssl("req", "-x509", "-newkey", "rsa:2048", "-keyout", file("o.key"), "-out", file("o.crt"), ...subject);
    const signer = ["-config", file("openssl.cnf"), "-cert", file("o.crt"), "-keyfile", file("o.key")];
    openssl("ca", "-gencrl", ...signer, "-out", file("o.crl"));
    expect([...revokedSerials(derOf(readFileSync(file("o.crl"), "utf8")))]).toEqual([0x0a0b0cn]);
  });
});

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: "pipe" });
}

function endsWell(bytes: Uint8Array): boolean {
  try {
    return revokedSerials(bytes) instanceof Set;
  } catch (error) {
    return error instanceof DerError;
  }
}

function numberOf(...content: number[]): bigint {
  return integerOf({ tag: 2, content: Uint8Array.from(content) });
}

describe("bytes that are no list", () => {
  it("are refused, whatever they are, and never taken for an empty one by luck of length", async () => {
    const whole = derOf(await authority.revocationList([good, bad]));
    for (let length = 0; length < whole.length; length += 1) {
      expect(() => revokedSerials(whole.subarray(0, length))).toThrow(DerError);
    }
    expect(() => revokedSerials(Buffer.concat([whole, Buffer.of(0)]))).toThrow(DerError);
  });

  it("end in an answer or in a DerError, and in nothing else", async () => {
    const whole = derOf(await authority.revocationList([good, bad]));
    const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), endsWell), { numRuns: 2_000 });
    const damaged = flips.map((changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
    fc.assert(fc.property(damaged, endsWell), { numRuns: 2_000 });
  });

  it("do not make a length that is not there", () => {
    for (const bytes of [[0x30], [0x30, 0x80], [0x30, 0x85, 1, 1, 1, 1, 1], [0x30, 0x84, 0xff, 0xff, 0xff, 0xff]]) {
      expect(() => valuesIn(Uint8Array.from(bytes))).toThrow(DerError);
    }
    expect(() => valuesIn(Uint8Array.of(0x1f, 0))).toThrow(DerError);
  });

  it("hold whole numbers of either sign and any size", () => {
    expect(numberOf(0)).toBe(0n);
    expect(numberOf(0x7f)).toBe(127n);
    expect(numberOf(0x00, 0xff)).toBe(255n);
    expect(numberOf(0xff)).toBe(-1n);
    expect(numberOf(...Array.from({ length: 20 }, () => 0x11))).toBe(BigInt(`0x${"11".repeat(20)}`));
    expect(() => numberOf()).toThrow(DerError);
  });
});
