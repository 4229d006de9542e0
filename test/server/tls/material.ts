/** TLS as tests of rooms use it: certificates of one authority, trusted by another, without a config around them. */
import { createLogger, type Logger } from "../../../src/server/runtime/logger.js";
import { openTls } from "../../../src/server/tls/open.js";
import type { TlsConfig } from "../../../src/server/tls/types.js";
import type { Authority, CertificateOptions, Issued } from "../../support/certificates.js";

/** Demands nothing and shows nothing. */
export const plainTls: TlsConfig = {
  side: "peer",
  identity: undefined,
  callerIdentity: undefined,
  requireCertificate: false,
  trustedCaFile: undefined,
  crlFile: undefined,
  nameRule: { kind: "any" },
  skipAddressCheck: false,
  protocol: { minVersion: "TLSv1.2", maxVersion: "TLSv1.3", ciphers: [] },
};

/** Those that trust `trusts` and show a certificate of `signedBy`. */
export async function mutualTls(options: {
  readonly signedBy: Authority;
  readonly trusts?: Authority;
  readonly certificate?: CertificateOptions;
  readonly change?: Partial<TlsConfig>;
}): Promise<TlsConfig> {
  const { signedBy, trusts = signedBy, certificate, change } = options;
  const identity = { kind: "files" as const, ...(await signedBy.issue(certificate)) };
  return { ...plainTls, identity, requireCertificate: true, trustedCaFile: trusts.caFile, ...change };
}

export function showing({ certFile, keyFile }: Issued): TlsConfig["identity"] {
  return { kind: "files", certFile, keyFile };
}

/** What a room gets of it. */
export function opened(config: TlsConfig, logger: Logger = logTo([])) {
  return openTls(config, { directory: "", hosts: [], logger });
}

/** A logger that writes JSON lines into an array. */
export function logTo(lines: string[]): Logger {
  const write = (line: string): void => void lines.push(line);
  return createLogger({ level: "debug", format: "json", write, now: () => new Date() });
}
