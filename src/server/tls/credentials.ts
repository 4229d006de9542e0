/**
 * Certificate, key and roots, read again for every handshake, so that they can be replaced while the server runs. What is
 * half written, unreadable or does not belong together changes nothing: the credentials of before stay, and the log says why.
 */

import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Logger } from "../runtime/logger.js";
import { certificatesIn, checkPair, readNamed, reasonOf } from "./pem.js";
import { secureOptions } from "./protocol.js";
import { type NamedFile, type NamedKeyPair, type TlsProtocol, TlsRefused } from "./types.js";

export interface CredentialSources {
  readonly pair: NamedKeyPair | undefined;
  /** Undefined is Node's own list of roots. */
  readonly ca: NamedFile | undefined;
  readonly protocol: TlsProtocol;
}

/** Credentials as of one moment. The object changes when, and only when, they do. */
export interface LoadedCredentials {
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
}

interface Bytes {
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
  readonly ca: Buffer | undefined;
}

export class Credentials {
  private readonly sources: CredentialSources;
  private readonly logger: Logger;
  private readonly now: () => number;
  private bytes: Bytes;
  private loaded: LoadedCredentials;
  /** What was wrong with files that were refused, so that it is said once. */
  private lastRefusal: string | undefined;

  /** Throws {@link TlsRefused}. `now` is the time in ms since 1970. */
  constructor(sources: CredentialSources, logger: Logger, now: () => number = Date.now) {
    this.sources = sources;
    this.logger = logger;
    this.now = now;
    this.bytes = this.read();
    this.loaded = this.load(this.bytes);
  }

  /** The credentials that the files hold now, or held last when they were good. */
  current(): LoadedCredentials {
    try {
      const bytes = this.read();
      if (sameBytes(bytes, this.bytes)) return this.loaded;
      this.loaded = this.load(bytes);
      this.bytes = bytes;
      this.lastRefusal = undefined;
      this.logger.info("TLS files have changed and are in use now", { files: this.paths() });
    } catch (error) {
      if (!(error instanceof TlsRefused)) throw error;
      if (error.message !== this.lastRefusal) {
        this.logger.warn("TLS files have changed and cannot be used; those of before stay", { error: error.message });
      }
      this.lastRefusal = error.message;
    }
    return this.loaded;
  }

  private read(): Bytes {
    const { pair, ca } = this.sources;
    return {
      cert: pair === undefined ? undefined : readNamed(pair.cert),
      key: pair === undefined ? undefined : readNamed(pair.key),
      ca: ca === undefined ? undefined : readNamed(ca),
    };
  }

  private load({ cert, key, ca }: Bytes): LoadedCredentials {
    const { pair, ca: caFile, protocol } = this.sources;
    if (pair !== undefined && cert !== undefined && key !== undefined) {
      const leaf = checkPair(pair, { cert, key });
      this.warnOfTime(pair.cert, leaf.validFrom, leaf.validTo);
    }
    if (caFile !== undefined && ca !== undefined) certificatesIn(caFile, ca);
    const options = { ...secureOptions(protocol), ...given({ cert, key, ca }) };
    try {
      return { options, context: createSecureContext(options) };
    } catch (error) {
      throw new TlsRefused(`TLS cannot be set up with ${this.paths().join(", ")}: ${reasonOf(error)}`);
    }
  }

  /** It is used all the same, as in etcd: who calls may not care. */
  private warnOfTime({ flag, path }: NamedFile, validFrom: string, validTo: string): void {
    const now = this.now();
    if (Date.parse(validFrom) <= now && now <= Date.parse(validTo)) return;
    this.logger.warn("the certificate is not valid at this time", {
      file: `${flag}=${path}`,
      "valid-from": validFrom,
      "valid-to": validTo,
    });
  }

  private paths(): readonly string[] {
    const { pair, ca } = this.sources;
    return [pair?.cert, pair?.key, ca].flatMap((file) => (file === undefined ? [] : [`${file.flag}=${file.path}`]));
  }
}

function given({ cert, key, ca }: Bytes): SecureContextOptions {
  return {
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(ca === undefined ? {} : { ca }),
  };
}

function sameBytes(one: Bytes, other: Bytes): boolean {
  return isSame(one.cert, other.cert) && isSame(one.key, other.key) && isSame(one.ca, other.ca);
}

function isSame(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one === undefined || other === undefined ? one === other : one.equals(other);
}
