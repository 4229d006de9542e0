/** Certificates and keys: what a start refuses, and what happens when files change under a server that runs. */
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Credentials } from "../../../src/server/tls/credentials.js";
import type { NamedFile } from "../../../src/server/tls/types.js";
import { Authority, type Issued } from "../../support/certificates.js";
import { logTo, plainTls } from "./material.js";

let authority: Authority;
let first: Issued;
let second: Issued;

beforeAll(async () => {
  authority = await Authority.create("one");
  first = await authority.issue();
  second = await authority.issue();
});

afterAll(() => authority.remove());

function load(files: { cert?: string; key?: string; ca?: string }, lines: string[] = []): Credentials {
  const { cert = first.certFile, key = first.keyFile, ca } = files;
  const pair = { cert: { flag: "--cert-file", path: cert }, key: { flag: "--key-file", path: key } };
  const caFile: NamedFile | undefined = ca === undefined ? undefined : { flag: "--trusted-ca-file", path: ca };
  return new Credentials({ pair, ca: caFile, protocol: plainTls.protocol }, logTo(lines));
}

function encryptedKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" }).toString();
}

describe("at the start", () => {
  it.each<[string, () => { cert?: string; key?: string; ca?: string }, RegExp]>([
    ["a missing certificate", () => ({ cert: "/no/c.crt" }), /^--cert-file=\/no\/c\.crt cannot be read: ENOENT/],
    ["a missing key", () => ({ key: "/no/c.key" }), /^--key-file=\/no\/c\.key cannot be read: ENOENT/],
    ["a missing CA", () => ({ ca: "/no/ca.crt" }), /^--trusted-ca-file=\/no\/ca\.crt cannot be read: ENOENT/],
    ["a directory", () => ({ cert: authority.directory }), /^--cert-file=.* cannot be read: EISDIR/],
    ["an empty certificate", () => ({ cert: authority.write("e.crt", "") }), /holds no certificate in PEM$/],
    ["a key for a certificate", () => ({ cert: first.keyFile }), /holds no certificate in PEM$/],
    ["a certificate for a key", () => ({ key: first.certFile }), /cannot be used: it holds no private key in PEM$/],
    ["an encrypted key", () => ({ key: authority.write("x.key", encryptedKey()) }), /cannot be used: it is encrypted$/],
    [
      "the key of another",
      () => ({ key: second.keyFile }),
      /^--key-file=.*2\.key is not the key of the certificate in --cert-file=.*1\.crt$/,
    ],
    [
      "a certificate that is garbage inside",
      () => ({ cert: authority.write("g.crt", first.cert.replace(/^MII[^\n]*/m, "AAAA")) }),
      /holds a certificate that cannot be read: /,
    ],
    [
      "a bundle that breaks off",
      () => ({ ca: authority.write("half.crt", authority.ca + authority.ca.slice(0, 100)) }),
      /breaks off within a block$/,
    ],
    [
      "an empty CA",
      () => ({ ca: authority.write("none.crt", "") }),
      /^--trusted-ca-file=.* holds no certificate in PEM$/,
    ],
  ])("%s is refused in one line", (_what, files, message) => {
    let refusal: unknown;
    try {
      load(files());
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ name: "TlsRefused", reason: "tls", message: expect.stringMatching(message) });
    expect((refusal as Error).message).not.toContain("\n");
  });

  it.skipIf(process.getuid?.() === 0)("a file that may not be read is refused", () => {
    const path = authority.write("secret.key", first.key);
    chmodSync(path, 0);
    expect(() => load({ key: path })).toThrow(/cannot be read: EACCES/);
  });

  it("a certificate that has run out is told of and used", async () => {
    const lines: string[] = [];
    const { certFile, keyFile } = await authority.issue({ validHours: { from: -2, until: -1 } });
    load({ cert: certFile, key: keyFile }, lines);
    expect(lines.join("")).toContain("the certificate is not valid at this time");
  });
});

describe("while the server runs", () => {
  it("the same files are the same credentials", () => {
    const credentials = load({ ca: authority.caFile });
    expect(credentials.current()).toBe(credentials.current());
  });

  it("new files are new credentials, at once", () => {
    const [cert, key] = [authority.write("n.crt", first.cert), authority.write("n.key", first.key)];
    const lines: string[] = [];
    const credentials = load({ cert, key }, lines);
    const before = credentials.current();
    writeFileSync(cert, second.cert);
    writeFileSync(key, second.key);
    const after = credentials.current();
    expect(after).not.toBe(before);
    expect(after.options.cert).toEqual(Buffer.from(second.cert));
    expect(credentials.current()).toBe(after);
    expect(lines.join("")).toContain("TLS files have changed and are in use now");
  });

  it("half of a pair, half of a file and no file change nothing, and are told of once", () => {
    const [cert, key] = [authority.write("h.crt", first.cert), authority.write("h.key", first.key)];
    const lines: string[] = [];
    const credentials = load({ cert, key }, lines);
    const before = credentials.current();
    const steps = [
      () => writeFileSync(cert, second.cert), // the key is still that of before
      () => writeFileSync(cert, second.cert + second.cert.slice(0, 100)),
      () => writeFileSync(cert, ""),
      () => rmSync(cert),
    ];
    for (const step of steps) {
      step();
      expect(credentials.current()).toBe(before);
      expect(credentials.current()).toBe(before);
    }
    expect(lines.filter((line) => line.includes("cannot be used; those of before stay"))).toHaveLength(steps.length);
    writeFileSync(cert, second.cert);
    writeFileSync(key, second.key);
    expect(credentials.current()).not.toBe(before);
  });

  it("roots can be exchanged too", async () => {
    const other = await Authority.create("other");
    const ca = authority.write("roots.crt", authority.ca);
    const credentials = load({ ca });
    const before = credentials.current();
    writeFileSync(ca, authority.ca.slice(0, 50));
    expect(credentials.current()).toBe(before);
    writeFileSync(ca, other.ca + authority.ca);
    expect(credentials.current()).not.toBe(before);
    other.remove();
  });
});
