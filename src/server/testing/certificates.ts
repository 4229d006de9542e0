/** Certificates of one test: an authority, and what it signs for the server and for root. */
import { webcrypto } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type * as X509 from "@peculiar/x509";
import { certificateLibrary } from "../tls/self-signed.js";
import type { KeyPairFiles } from "../tls/types.js";
import type { TestCertificates } from "./types.js";

export interface ServerCertificates {
  readonly client: TestCertificates;
  readonly server: KeyPairFiles;
  readonly caFile: string;
}

const curve = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const hourMs = 3_600_000;
const loopback = [
  { type: "ip", value: "127.0.0.1" },
  { type: "ip", value: "::1" },
  { type: "dns", value: "localhost" },
] as const;

interface Authority {
  readonly x509: ReturnType<typeof certificateLibrary>;
  readonly certificate: X509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

/** Makes them, for a day, and writes what the server reads into the directory. */
export async function makeCertificates(directory: string): Promise<ServerCertificates> {
  const authority = await makeAuthority();
  const [server, root] = await Promise.all([issue(authority, "litecd-test"), issue(authority, "root")]);
  const ca = authority.certificate.toString("pem");
  const files = {
    caFile: join(directory, "ca.pem"),
    certFile: join(directory, "server.pem"),
    keyFile: join(directory, "server-key.pem"),
  };
  await Promise.all([
    writeFile(files.caFile, ca),
    writeFile(files.certFile, server.cert),
    writeFile(files.keyFile, server.key, { mode: 0o600 }),
  ]);
  const { caFile, ...pair } = files;
  return { client: { ca, ...root }, server: pair, caFile };
}

async function makeAuthority(): Promise<Authority> {
  const x509 = certificateLibrary();
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=litecd test authority",
    ...validity(),
    keys,
    signingAlgorithm: curve,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  return { x509, certificate, keys };
}

async function issue({ x509, certificate, keys }: Authority, name: string): Promise<{ cert: string; key: string }> {
  const own = await makeKeys();
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const issued = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: certificate.subject,
    ...validity(),
    signingKey: keys.privateKey,
    publicKey: own.publicKey,
    signingAlgorithm: curve,
    extensions: [
      new x509.ExtendedKeyUsageExtension([serverAuth, clientAuth]),
      new x509.SubjectAlternativeNameExtension([...loopback]),
    ],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", own.privateKey);
  return { cert: issued.toString("pem"), key: x509.PemConverter.encode(key, "PRIVATE KEY") };
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]);
}

/** From an hour ago, since clocks differ. */
function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - hourMs), notAfter: new Date(Date.now() + 24 * hourMs) };
}
