/** Certificates that a server makes for itself (--auto-tls): kept beside its data, in files named as in etcd. */

import { webcrypto, X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { isIP } from "node:net";
import { join } from "node:path";
import type { Logger } from "../runtime/logger.js";
import { reasonOf } from "./pem.js";
import { type KeyPairFiles, TlsRefused } from "./types.js";

export interface SelfSignedOptions {
  /** Where the files go; made if it is not there. */
  readonly directory: string;
  /** Names and addresses that the server answers to. */
  readonly hosts: readonly string[];
  readonly validityYears: number;
  readonly logger: Logger;
}

const yearMs = 365 * 24 * 60 * 60 * 1000;
/** Clocks differ. */
const backdateMs = 60 * 60 * 1000;

/** The pair in `directory`, if there is one that has not run out; else a new one. Throws {@link TlsRefused}. */
export async function selfSignedPair(options: SelfSignedOptions): Promise<KeyPairFiles> {
  const { directory, logger } = options;
  const files = { certFile: join(directory, "cert.pem"), keyFile: join(directory, "key.pem") };
  if (isUsable(files)) return files;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { cert, key } = await makePair(options);
    replaceFile(files.keyFile, key);
    replaceFile(files.certFile, cert);
  } catch (error) {
    throw new TlsRefused(`no certificate can be made in ${directory}: ${reasonOf(error)}`);
  }
  logger.warn("automatically generated a certificate; clients have to trust this file, or not to verify", {
    file: files.certFile,
  });
  return files;
}

function isUsable({ certFile, keyFile }: KeyPairFiles): boolean {
  if (!existsSync(certFile) || !existsSync(keyFile)) return false;
  try {
    return Date.parse(new X509Certificate(readFileSync(certFile)).validTo) > Date.now();
  } catch (error) {
    throw new TlsRefused(`${certFile} cannot be used: ${reasonOf(error)}; remove it to have another one made`);
  }
}

/** Whole or not at all, and for nobody else to read. */
function replaceFile(path: string, text: string): void {
  const draft = `${path}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}

/**
 * An authority that vouches for itself, on the curve that every client knows: etcd takes P-521, which BoringSSL, and so
 * Chrome and gRPC for most languages, does not accept.
 */
async function makePair({ hosts, validityYears }: SelfSignedOptions) {
  const x509 = certificateLibrary();
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const nowMs = Date.now();
  const { KeyUsageFlags: usage } = x509;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "O=etcd",
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + validityYears * yearMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(usage.digitalSignature | usage.keyEncipherment | usage.keyCertSign, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension(
        hosts.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
      ),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    cert: `${certificate.toString("pem")}\n`,
    key: pem("PRIVATE KEY", Buffer.from(pkcs8).toString("base64")),
  };
}

/** What makes certificates: an optional package, which costs some milliseconds to load. Throws an error that says how to get it. */
export function certificateLibrary(): typeof import("@peculiar/x509") {
  const load = createRequire(import.meta.url);
  try {
    load("reflect-metadata"); // the library stands on it and does not bring it in
    return load("@peculiar/x509") as typeof import("@peculiar/x509");
  } catch (error) {
    throw new Error(`install the packages @peculiar/x509 and reflect-metadata (${reasonOf(error)})`, { cause: error });
  }
}

function pem(label: string, base64: string): string {
  return `-----BEGIN ${label}-----\n${base64.replace(/.{1,64}/g, "$&\n")}-----END ${label}-----\n`;
}
