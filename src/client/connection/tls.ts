/**
 * The client's side of TLS: roots, certificate and key. What comes from files is read again when the files have changed,
 * so that a rotated certificate is used by the next connection; what does not fit together is never used.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { isIP, type Socket } from "node:net";
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type DetailedPeerCertificate,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import type { LogEntry, Pem, TlsOptions } from "../options.js";

/** The options that hold PEM. */
type PemName = "ca" | "cert" | "key";
type PemBytes = Partial<Readonly<Record<PemName, Buffer>>>;
const pemNames: readonly PemName[] = ["ca", "cert", "key"];

/** What an option is called in messages: `tls.ca (/etc/ca.pem)`. */
export function pemLabel(tls: TlsOptions, name: PemName): string {
  const pem = tls[name];
  return typeof pem === "object" && "file" in pem ? `tls.${name} (${pem.file})` : `tls.${name}`;
}

/** The certificates of one client, read when first asked for. */
export class TlsIdentity {
  private readonly tls: TlsOptions;
  private readonly log: (entry: LogEntry) => void;
  private good: { readonly context: SecureContext; readonly stamp: string } | undefined;
  private lookedMs = 0;
  private loading: Promise<SecureContext> | undefined;
  private warned: string | undefined;

  constructor(tls: TlsOptions, log: (entry: LogEntry) => void) {
    this.tls = tls;
    this.log = log;
  }

  /** For the next handshake. Rejects, with an error that names the option, while nothing usable was ever read. */
  context(): Promise<SecureContext> {
    this.loading ??= this.load().finally(() => {
      this.loading = undefined;
    });
    return this.loading;
  }

  private async load(): Promise<SecureContext> {
    const nowMs = performance.now();
    const { good } = this;
    if (good !== undefined && nowMs - this.lookedMs < (this.tls.reloadIntervalMs ?? 0)) return good.context;
    try {
      // The stamp is older than what is read: a change in between is seen the next time.
      const stamp = await stampOf(this.tls);
      if (good?.stamp !== stamp) this.good = { context: contextOf(this.tls, await readAll(this.tls)), stamp };
      this.lookedMs = nowMs;
      this.warned = undefined;
      return this.good?.context ?? createSecureContext();
    } catch (error) {
      if (good === undefined) throw error;
      this.warn(error);
      return good.context;
    }
  }

  /** Once per reason: the files are looked at again for every connection until they fit. */
  private warn(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    if (why === this.warned) return;
    this.warned = why;
    this.log({ level: "warn", message: `TLS: the certificates in use stay in use: ${why}`, cause: error });
  }
}

/** Changes when a file does. */
async function stampOf(tls: TlsOptions): Promise<string> {
  const stamps = pemNames.map(async (name) => {
    const pem = tls[name];
    if (typeof pem !== "object" || !("file" in pem)) return "";
    const { mtimeNs, size, ino } = await stat(pem.file, { bigint: true }).catch((error: unknown) =>
      unreadable(tls, name, error),
    );
    return `${mtimeNs}/${size}/${ino}`;
  });
  return (await Promise.all(stamps)).join(" ");
}

async function readAll(tls: TlsOptions): Promise<PemBytes> {
  const read = pemNames.map(async (name): Promise<[PemName, Buffer][]> => {
    const pem = tls[name];
    if (pem === undefined) return [];
    return [[name, await pemBytes(pem).catch((error: unknown) => unreadable(tls, name, error))]];
  });
  return Object.fromEntries((await Promise.all(read)).flat());
}

async function pemBytes(pem: Pem): Promise<Buffer> {
  if (typeof pem === "string") return Buffer.from(pem);
  return pem instanceof Uint8Array ? Buffer.from(pem) : readFile(pem.file);
}

function unreadable(tls: TlsOptions, name: PemName, cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause);
  throw new Error(`${pemLabel(tls, name)} cannot be read: ${why}`, { cause });
}

/** Throws an error that names the option if anything is missing or does not fit: Node would trust its own roots then. */
function contextOf(tls: TlsOptions, { ca, cert, key }: PemBytes): SecureContext {
  if ((cert === undefined) !== (key === undefined)) {
    throw new Error(`tls.${cert === undefined ? "cert" : "key"} is missing: a client certificate needs both`);
  }
  if (ca !== undefined) certificatesIn(tls, "ca", ca);
  if (cert !== undefined && key !== undefined) checkPair(tls, cert, key);
  return createSecureContext({
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
}

function checkPair(tls: TlsOptions, cert: Buffer, key: Buffer): void {
  const [own] = certificatesIn(tls, "cert", cert);
  const label = pemLabel(tls, "key");
  let privateKey: ReturnType<typeof createPrivateKey>;
  try {
    privateKey = createPrivateKey(key);
  } catch (cause) {
    // Only OpenSSL's reason is passed on, and none of the input.
    throw new Error(`${label} holds no private key that can be read (encrypted keys are not supported)`, { cause });
  }
  if (own?.checkPrivateKey(privateKey) !== true) {
    throw new Error(`${label} is not the key of the certificate in ${pemLabel(tls, "cert")}`);
  }
}

const certificatePattern = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]*-----END (?:TRUSTED )?CERTIFICATE-----/g;

/** At least one. Half a certificate at the end, as of a file that is being written, is an error too. */
function certificatesIn(tls: TlsOptions, name: PemName, pem: Buffer): X509Certificate[] {
  const text = pem.toString("latin1");
  const blocks = text.match(certificatePattern) ?? [];
  const begun = text.split("-----BEGIN ").length - 1;
  if (blocks.length === 0) throw new Error(`${pemLabel(tls, name)} holds no certificate in PEM`);
  if (blocks.length < begun) throw new Error(`${pemLabel(tls, name)} holds more than whole certificates`);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw new Error(`${pemLabel(tls, name)}: certificate ${index + 1} cannot be read`, { cause });
    }
  });
}

/** What a handshake with `host` asks for. An address is no name to ask for (RFC 6066), but one to verify. */
export function handshakeOptions(tls: TlsOptions, context: SecureContext, host: string): ConnectionOptions {
  const servername = tls.serverName ?? (isIP(host) === 0 ? host : undefined);
  return {
    secureContext: context,
    host,
    ALPNProtocols: ["h2"],
    rejectUnauthorized: tls.insecureSkipVerify !== true,
    ...(servername === undefined ? {} : { servername }),
  };
}

/** A handshake that did not succeed, and the certificate the server showed, as far as it came. */
export class HandshakeError extends Error {
  override readonly name = "HandshakeError";
  readonly certificate: DetailedPeerCertificate | undefined;

  constructor(cause: Error, certificate: DetailedPeerCertificate | undefined) {
    super(cause.message, { cause });
    this.certificate = certificate;
  }
}

/** Rejects with a HandshakeError if the server's certificate does not convince, unless the options do not care. */
export function secure(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    let certificate: DetailedPeerCertificate | undefined;
    const refused = (error: Error): void => reject(new HandshakeError(error, certificate));
    const secured = connect({ ...options, socket }, () => {
      secured.off("error", refused);
      resolve(secured);
    });
    secured.on("error", refused);
    // Node verifies in its own listener of this event and throws the certificate away with the socket; ours is first.
    secured.prependOnceListener("secure", () => {
      certificate = secured.getPeerCertificate(true);
    });
  });
}
