/** What the ports and the calls of a server are told about TLS. Flags and meanings: spec/server.md 13.2, 13.5. */

/** A certificate, with what leads to its root behind it, and its key: two files in PEM. */
export interface KeyPairFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Where the certificate of the ports comes from: files of the operator, or this member makes it. */
export type TlsIdentity =
  | ({ readonly kind: "files" } & KeyPairFiles)
  | { readonly kind: "selfSigned"; readonly validityYears: number };

/** Which of the certificates that the roots vouch for are let in. */
export type NameRule =
  | { readonly kind: "any" }
  | { readonly kind: "commonNames"; readonly names: readonly string[] }
  | { readonly kind: "hostnames"; readonly names: readonly string[] };

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** How to speak. */
export interface TlsProtocol {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** By OpenSSL's names; none is a default without anything weak. */
  readonly ciphers: readonly string[];
}

/** TLS of one side: towards clients, or among members. */
export interface TlsConfig {
  /** Names the flags in messages. */
  readonly side: "client" | "peer";
  /** Undefined: nothing is served with TLS. */
  readonly identity: TlsIdentity | undefined;
  /** What members show when they call others; `identity` if undefined. */
  readonly callerIdentity: KeyPairFiles | undefined;
  /** Who calls must show a certificate that the roots vouch for. */
  readonly requireCertificate: boolean;
  /** Roots in PEM; undefined is Node's own list. */
  readonly trustedCaFile: string | undefined;
  /** Revocation list in PEM or DER. */
  readonly crlFile: string | undefined;
  readonly nameRule: NameRule;
  /** Members only: do not compare the address of a caller with its certificate. */
  readonly skipAddressCheck: boolean;
  readonly protocol: TlsProtocol;
}

/** A member cannot speak TLS with what it was given; the message is one line that names the flag and the file. */
export class TlsRefused extends Error {
  override readonly name = "TlsRefused";
  readonly reason = "tls";
}

const flagNames = {
  client: { cert: "--cert-file", key: "--key-file", ca: "--trusted-ca-file", crl: "--client-crl-file" },
  peer: { cert: "--peer-cert-file", key: "--peer-key-file", ca: "--peer-trusted-ca-file", crl: "--peer-crl-file" },
  caller: { cert: "--peer-client-cert-file", key: "--peer-client-key-file" },
} as const;

/** A file and the flag that named it. */
export interface NamedFile {
  readonly flag: string;
  readonly path: string;
}

export interface NamedKeyPair {
  readonly cert: NamedFile;
  readonly key: NamedFile;
}

export function namedPair(who: "client" | "peer" | "caller", { certFile, keyFile }: KeyPairFiles): NamedKeyPair {
  const { cert, key } = flagNames[who];
  return { cert: { flag: cert, path: certFile }, key: { flag: key, path: keyFile } };
}

export function namedCa({ side, trustedCaFile }: TlsConfig): NamedFile | undefined {
  return trustedCaFile === undefined ? undefined : { flag: flagNames[side].ca, path: trustedCaFile };
}

export function namedCrl({ side, crlFile }: TlsConfig): NamedFile | undefined {
  return crlFile === undefined ? undefined : { flag: flagNames[side].crl, path: crlFile };
}
