/** What the flags about TLS come to, what contradicts, and what is likely a mistake. */
import { describe, expect, it } from "vitest";
import { defaultConfig } from "../../../src/server/config/parse-config.js";
import { configOf, errorOf, warningsOf } from "./parse.js";

const files = "--cert-file c.crt --key-file c.key";
const peerFiles = "--peer-cert-file p.crt --peer-key-file p.key";
const https = "--listen-client-urls https://127.0.0.1:1 --advertise-client-urls https://127.0.0.1:1";
const peerHttps = "--listen-peer-urls https://127.0.0.1:2";

describe("TLS", () => {
  it("is off by default, and then asks nobody for anything", () => {
    const { clientTls, peerTls, clientCertAuth } = defaultConfig();
    for (const tls of [clientTls, peerTls]) {
      expect(tls).toMatchObject({ identity: undefined, requireCertificate: false, nameRule: { kind: "any" } });
      expect(tls.protocol).toEqual({ minVersion: "TLSv1.2", maxVersion: "TLSv1.3", ciphers: [] });
    }
    expect(clientCertAuth).toBe(false);
  });

  it.each([
    ["", false, false],
    ["--trusted-ca-file ca", true, false],
    ["--client-cert-auth", true, true],
    ["--client-cert-auth --trusted-ca-file ca", true, true],
  ])("with %j demands certificates: %s, and knows clients by them: %s", (line, demands, knows) => {
    const { clientTls, clientCertAuth } = configOf(`${files} ${https} ${line}`);
    expect([clientTls.requireCertificate, clientCertAuth]).toEqual([demands, knows]);
  });

  it("takes its own files before one that it would make", () => {
    expect(configOf(`${files} ${https} --auto-tls`).clientTls.identity).toMatchObject({ kind: "files" });
    const made = configOf(`${https} --auto-tls --self-signed-cert-validity 3`).clientTls.identity;
    expect(made).toEqual({ kind: "selfSigned", validityYears: 3 });
  });

  it.each([
    ["--tls-max-version TLS1.2", "TLSv1.2", "TLSv1.2"],
    ["--tls-min-version TLS1.3", "TLSv1.3", "TLSv1.3"],
    ["--tls-min-version TLS1.3 --tls-max-version TLS1.3", "TLSv1.3", "TLSv1.3"],
  ])("with %s speaks %s to %s", (line, minVersion, maxVersion) => {
    expect(configOf(line).peerTls.protocol).toMatchObject({ minVersion, maxVersion });
  });

  it("takes cipher suites by Go's names, old ones too", () => {
    const suites = [
      "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
      "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
      "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
      "TLS_RSA_WITH_AES_128_CBC_SHA",
      "TLS_AES_128_GCM_SHA256",
    ];
    expect(configOf(`--cipher-suites ${suites.join(",")}`).clientTls.protocol.ciphers).toEqual([
      "ECDHE-ECDSA-AES256-GCM-SHA384",
      "ECDHE-RSA-CHACHA20-POLY1305",
      "AES128-SHA",
      "TLS_AES_128_GCM_SHA256",
    ]);
  });

  it.each([
    ["--cert-file c.crt", "--cert-file and --key-file go together"],
    ["--peer-key-file c.key", "--peer-cert-file and --peer-key-file go together"],
    ["--client-cert-file c.crt", "--client-cert-file and --client-key-file go together"],
    ["--peer-client-key-file c.crt", "--peer-client-cert-file and --peer-client-key-file go together"],
    [https, "--listen-client-urls holds https://127.0.0.1:1, which needs --cert-file and --key-file, or --auto-tls"],
    [
      peerHttps,
      "--listen-peer-urls holds https://127.0.0.1:2, which needs --peer-cert-file and --peer-key-file, or --peer-auto-tls",
    ],
    [
      "--listen-metrics-urls unixs:///m",
      "--listen-metrics-urls holds unixs:///m, which needs --cert-file and --key-file, or --auto-tls",
    ],
    [`${https} --auto-tls --self-signed-cert-validity 0`, "--self-signed-cert-validity must be at least 1 year"],
    [
      "--client-cert-allowed-cn a --client-cert-allowed-hostname b",
      "--client-cert-allowed-cn and --client-cert-allowed-hostname exclude each other",
    ],
    ["--cipher-suites AES128-SHA", '--cipher-suites holds "AES128-SHA", which is no cipher suite by Go\'s name'],
    ["--cipher-suites __proto__", '--cipher-suites holds "__proto__", which is no cipher suite by Go\'s name'],
    [
      "--cipher-suites TLS_RSA_WITH_RC4_128_SHA",
      "--cipher-suites holds TLS_RSA_WITH_RC4_128_SHA, which is broken, and which the OpenSSL of this server does not have",
    ],
    [
      "--cipher-suites TLS_AES_128_GCM_SHA256 --tls-max-version TLS1.2",
      "--cipher-suites holds suites of TLS 1.3 only, and --tls-max-version is TLS1.2",
    ],
    ["--tls-min-version TLS1.1", '--tls-min-version=TLS1.1: must be one of "TLS1.2", "TLS1.3"', 2],
  ])("refuses %s", (line, complaint, exitCode = 1) => {
    expect(errorOf(line)).toBe(`${exitCode} ${complaint}`);
  });

  const mixed =
    "--listen-client-urls https://127.0.0.1:1,http://127.0.0.1:3 --advertise-client-urls https://127.0.0.1:1";
  it.each([
    [files, "TLS is set up, but no URL that is listened on has https: it is not used: client"],
    [
      `${files} ${mixed} --client-cert-auth --trusted-ca-file ca`,
      "certificates are demanded, but not from those who come to a URL without https: client",
    ],
    [
      `${files} ${https} --client-crl-file crl`,
      "names or a revocation list are given, but no certificate is demanded: everybody is let in: client",
    ],
    [
      `${peerFiles} ${peerHttps} --peer-client-cert-auth`,
      "certificates are demanded, and those of every public authority are good: no CA file is given: peer",
    ],
    [`${peerHttps} --peer-auto-tls`, "members encrypt what they say, and cannot know to whom: --peer-auto-tls: peer"],
    [
      `${files} ${https} ${peerFiles} ${peerHttps} --trusted-ca-file ca --peer-trusted-ca-file ca`,
      "certificates of clients are good among members too: both trust one CA, and no --peer-cert-allowed-cn is given: peer",
    ],
  ])("warns of %s", (line, warning) => {
    expect(warningsOf(line)).toEqual([warning]);
  });

  it("does not warn of what is in order", () => {
    const clients = `${files} ${https} --client-cert-auth --trusted-ca-file ca --client-crl-file crl`;
    const peers = `${peerFiles} ${peerHttps} --peer-trusted-ca-file ca --peer-cert-allowed-cn member`;
    expect(warningsOf(`${clients} ${peers}`)).toEqual([]);
  });
});
