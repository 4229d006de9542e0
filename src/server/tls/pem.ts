/** PEM as operators hand it over: read whole or not at all, with one line that says what is wrong. */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type NamedFile, type NamedKeyPair, TlsRefused } from "./types.js";

/** Throws {@link TlsRefused} if the file cannot be read. */
export function readNamed({ flag, path }: NamedFile): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TlsRefused(`${flag}=${path} cannot be read: ${reasonOf(error)}`);
  }
}

/** Every certificate of a file, at least one. Throws {@link TlsRefused}, also for a file that is not all there yet. */
export function certificatesIn({ flag, path }: NamedFile, bytes: Buffer): readonly X509Certificate[] {
  const text = bytes.toString("latin1");
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const begun = text.split("-----BEGIN ").length - 1;
  if (blocks.length === 0) throw new TlsRefused(`${flag}=${path} holds no certificate in PEM`);
  // Half of a bundle would be taken for all of it.
  if (text.split("-----END ").length - 1 !== begun) throw new TlsRefused(`${flag}=${path} breaks off within a block`);
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new TlsRefused(`${flag}=${path} holds a certificate that cannot be read: ${reasonOf(error)}`);
  }
}

/** The certificate of a pair whose halves belong together. Throws {@link TlsRefused}. */
export function checkPair({ cert, key }: NamedKeyPair, bytes: { readonly cert: Buffer; readonly key: Buffer }) {
  const [leaf] = certificatesIn(cert, bytes.cert);
  const privateKey = keyIn(key, bytes.key);
  if (leaf?.checkPrivateKey(privateKey) !== true) {
    throw new TlsRefused(`${key.flag}=${key.path} is not the key of the certificate in ${cert.flag}=${cert.path}`);
  }
  return leaf;
}

function keyIn({ flag, path }: NamedFile, bytes: Buffer): KeyObject {
  try {
    return createPrivateKey(bytes);
  } catch {
    const why = bytes.includes("ENCRYPTED") ? "it is encrypted" : "it holds no private key in PEM";
    throw new TlsRefused(`${flag}=${path} cannot be used: ${why}`);
  }
}

/** One line, without OpenSSL's place in its source. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { reason } = error as { reason?: unknown };
  return typeof reason === "string" ? reason : (error.message.split("\n")[0] ?? "");
}
