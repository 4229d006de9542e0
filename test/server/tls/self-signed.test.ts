/** Certificates that a server makes for itself. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type SelfSignedOptions, selfSignedPair } from "../../../src/server/tls/self-signed.js";
import { Authority } from "../../support/certificates.js";
import { logTo } from "./material.js";

let root: string;
let options: SelfSignedOptions;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "litecd-self-signed-"));
  options = {
    directory: join(root, "data", "fixtures", "client"),
    hosts: ["10.1.2.3", "::1", "db.example"],
    validityYears: 2,
    logger: logTo([]),
  };
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

describe("a certificate that a server makes", () => {
  it("is for its hosts, for so many years, an authority of its own, and good for a handshake", async () => {
    const { certFile, keyFile } = await selfSignedPair(options);
    const certificate = new X509Certificate(readFileSync(certFile));
    expect(certificate.subject).toBe("O=etcd");
    expect(certificate.ca).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    for (const host of ["10.1.2.3", "::1"]) expect(certificate.checkIP(host)).toBeDefined();
    expect(certificate.checkHost("db.example")).toBeDefined();
    const years = (Date.parse(certificate.validTo) - Date.now()) / (365 * 24 * 3_600_000);
    expect(years).toBeGreaterThan(1.99);
    expect(years).toBeLessThan(2.01);
    expect(certificate.checkPrivateKey(createPrivateKey(readFileSync(keyFile)))).toBe(true);
  });

  it("is for nobody else to read", async () => {
    const { certFile, keyFile } = await selfSignedPair(options);
    for (const file of [certFile, keyFile]) expect(statSync(file).mode & 0o777).toBe(0o600);
    for (const part of [["data"], ["data", "fixtures"], ["data", "fixtures", "client"]]) {
      expect(statSync(join(root, ...part)).mode & 0o777).toBe(0o700);
    }
  });

  it("is made once, and again only when it is gone or has run out", async () => {
    const { certFile, keyFile } = await selfSignedPair(options);
    const first = readFileSync(certFile, "utf8");
    await selfSignedPair(options);
    expect(readFileSync(certFile, "utf8")).toBe(first);
    rmSync(keyFile);
    await selfSignedPair(options);
    const second = readFileSync(certFile, "utf8");
    expect(second).not.toBe(first);
    const authority = await Authority.create("old");
    writeFileSync(certFile, (await authority.issue({ validHours: { from: -2, until: -1 } })).cert);
    authority.remove();
    await selfSignedPair(options);
    expect(Date.parse(new X509Certificate(readFileSync(certFile)).validTo)).toBeGreaterThan(Date.now());
  });

  it("is not replaced when it cannot be read: whose it is, nobody knows", async () => {
    const { certFile } = await selfSignedPair(options);
    writeFileSync(certFile, "nonsense");
    await expect(selfSignedPair(options)).rejects.toThrow(
      /cert\.pem cannot be used: .*remove it to have another one made$/,
    );
  });

  it("needs a place to be kept", async () => {
    writeFileSync(join(root, "data"), "a file");
    await expect(selfSignedPair(options)).rejects.toThrow(/^no certificate can be made in .*client: ENOTDIR/);
  });
});
