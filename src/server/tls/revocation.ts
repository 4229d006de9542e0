/**
 * Revocation lists: read again for every handshake, and held against every certificate that was shown. As in etcd a
 * certificate is known by its serial number (spec/server.md 13.5); who signed the list is for its owner to know.
 */

import type { X509Certificate } from "node:crypto";
import type { Logger } from "../runtime/logger.js";
import { contentOf, DerError, type DerValue, integerOf, tags, valuesIn } from "./der.js";
import { readNamed } from "./pem.js";
import { type NamedFile, TlsRefused } from "./types.js";

export class RevocationList {
  private readonly file: NamedFile;
  private readonly logger: Logger;
  private bytes: Buffer;
  private serials: ReadonlySet<bigint>;
  private lastRefusal: string | undefined;

  /** Throws {@link TlsRefused}. */
  constructor(file: NamedFile, logger: Logger) {
    this.file = file;
    this.logger = logger;
    this.bytes = readNamed(file);
    this.serials = serialsOf(file, this.bytes);
  }

  /** Why none of these may be trusted; undefined if all may. A list that cannot be read leaves the last one in force. */
  problem(chain: Iterable<X509Certificate>): string | undefined {
    this.refresh();
    for (const certificate of chain) {
      const serial = serialOf(certificate);
      if (this.serials.has(serial)) return `certificate serial ${serial.toString(16)} revoked`;
    }
    return undefined;
  }

  private refresh(): void {
    try {
      const bytes = readNamed(this.file);
      if (bytes.equals(this.bytes)) return;
      this.serials = serialsOf(this.file, bytes);
      this.bytes = bytes;
      this.lastRefusal = undefined;
      this.logger.info("the revocation list has changed and is in force now", {
        file: this.file.path,
        revoked: this.serials.size,
      });
    } catch (error) {
      if (!(error instanceof TlsRefused)) throw error;
      if (error.message !== this.lastRefusal) {
        this.logger.warn("the revocation list cannot be used; that of before stays in force", { error: error.message });
      }
      this.lastRefusal = error.message;
    }
  }
}

function serialOf({ serialNumber }: X509Certificate): bigint {
  return BigInt(`0x${serialNumber.replace(/^-/, "")}`);
}

function serialsOf({ flag, path }: NamedFile, bytes: Buffer): ReadonlySet<bigint> {
  try {
    return new Set(listsIn(bytes).flatMap((list) => [...revokedSerials(list)]));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new TlsRefused(`${flag}=${path} is no revocation list: ${error.message}`);
  }
}

/** Lists in PEM, several perhaps, or one in DER. Throws {@link DerError}. */
function listsIn(bytes: Buffer): readonly Uint8Array[] {
  const text = bytes.toString("latin1");
  if (!text.includes("-----BEGIN ")) return [bytes];
  const lists = text.matchAll(/-----BEGIN (?:X509 )?CRL-----([^-]*)-----END (?:X509 )?CRL-----/g);
  const found = Array.from(lists, ([, base64 = ""]) => Buffer.from(base64, "base64"));
  if (found.length === 0 || found.length !== text.split("-----BEGIN ").length - 1) {
    throw new DerError("it holds something else, or breaks off");
  }
  return found;
}

/** Serial numbers in a CertificateList (RFC 5280, 5.1), without their sign. Throws {@link DerError}. */
export function revokedSerials(list: Uint8Array): ReadonlySet<bigint> {
  const [whole, ...more] = valuesIn(list);
  if (more.length > 0) throw new DerError("something follows the list");
  const [signed, , signature] = contentOf(whole, tags.sequence);
  if (signature === undefined) throw new DerError("it has no signature");
  const entries = contentOf(revokedOf(contentOf(signed, tags.sequence)), tags.sequence);
  return new Set(entries.map((entry) => absolute(integerOf(contentOf(entry, tags.sequence)[0]))));
}

const emptySequence: DerValue = { tag: tags.sequence, content: new Uint8Array() };

/** The revoked certificates come after version?, signature, issuer, thisUpdate, nextUpdate?; without any they are left out. */
function revokedOf(fields: readonly DerValue[]): DerValue {
  const begin = fields[0]?.tag === tags.integer ? 1 : 0;
  if (fields[begin]?.tag !== tags.sequence || fields[begin + 1]?.tag !== tags.sequence || !isTime(fields[begin + 2])) {
    throw new DerError("it does not say who made it, and when");
  }
  const after = fields.slice(begin + 3);
  const [first] = isTime(after[0]) ? after.slice(1) : after;
  return first?.tag === tags.sequence ? first : emptySequence;
}

function isTime(value: DerValue | undefined): boolean {
  return value?.tag === tags.utcTime || value?.tag === tags.generalizedTime;
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}
