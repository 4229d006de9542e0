/** What a failed TLS handshake means: which certificate, which reason, and which option to look at. Pure. */
import type { DetailedPeerCertificate } from "node:tls";
import type { TlsOptions } from "../options.js";
import { pemLabel } from "./tls.js";

export interface Handshake {
  readonly tls: TlsOptions;
  /** The name or address that was asked for. */
  readonly host: string;
  /** As the server showed it; undefined if it did not come that far. */
  readonly certificate: DetailedPeerCertificate | undefined;
}

export interface Explanation {
  readonly message: string;
  /** False if the same handshake may succeed the next time. */
  readonly lasting: boolean;
}

/** Codes of Node and OpenSSL for a chain that ends at nobody we know. */
const unknownIssuer: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
]);

/** What OpenSSL makes of bytes that are no TLS. */
const notTls = /(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|RECORD_LAYER_FAILURE|RECORD_TYPE)$/;

/** `error` as Node reports it, with its code. */
export function explainHandshake(error: Error, handshake: Handshake): Explanation {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const alert = /ALERT_([A-Z_]+)$/.exec(code)?.[1] ?? (code.endsWith("UNRECOGNIZED_NAME") ? "UNRECOGNIZED_NAME" : "");
  const said =
    aboutServerCertificate(code, handshake) ??
    (alert === "" ? undefined : aboutAlert(alert, handshake)) ??
    (notTls.test(code) ? "the server does not speak TLS: use http:// (or unix:) for it" : undefined);
  if (said !== undefined) return { message: `TLS: ${said} [${code}]`, lasting: true };
  if (code === "ECONNRESET" || code === "EPIPE") {
    const hint = "it may speak plain text (http://), or be going down";
    return { message: `TLS: the server hung up during the handshake: ${hint} [${code}]`, lasting: false };
  }
  return { message: `TLS: ${error.message}${code === "" ? "" : ` [${code}]`}`, lasting: false };
}

/** A server that ends the connection after the handshake, without an alert, may have looked at the certificate only then. */
export function explainHangUp(tls: TlsOptions): Explanation {
  const own =
    tls.cert === undefined
      ? "it may want a client certificate (tls.cert, tls.key)"
      : `it may not accept the client certificate ${pemLabel(tls, "cert")}`;
  return { message: `TLS: the server hung up after the handshake: ${own}, or be going down`, lasting: false };
}

function aboutServerCertificate(code: string, { tls, host, certificate }: Handshake): string | undefined {
  switch (code) {
    case "CERT_HAS_EXPIRED":
      return `${outOfTime(certificate)} has expired`;
    case "CERT_NOT_YET_VALID":
      return `${outOfTime(certificate)} is not valid yet: look at the clocks too`;
    case "CERT_REVOKED":
      return `the server's certificate ${described(certificate)} was revoked`;
    case "ERR_TLS_CERT_ALTNAME_INVALID": {
      const names = certificate?.subjectaltname ?? "no name at all";
      const wanted = tls.serverName ?? host;
      return `the server's certificate is not for ${wanted} but for ${names}: see tls.serverName`;
    }
  }
  if (!unknownIssuer.has(code)) return undefined;
  const trusted = tls.ca === undefined ? "the roots of Node (tls.ca is not set)" : pemLabel(tls, "ca");
  return `the server's certificate ${described(certificate)} was not issued by anyone in ${trusted}`;
}

/** What the server said against us. */
function aboutAlert(alert: string, { tls, host }: Handshake): string | undefined {
  const own = tls.cert === undefined ? undefined : pemLabel(tls, "cert");
  const demand = "the server wants a client certificate: set tls.cert and tls.key";
  switch (alert) {
    case "CERTIFICATE_REQUIRED":
      return demand;
    case "BAD_CERTIFICATE":
    case "HANDSHAKE_FAILURE":
    case "CERTIFICATE_UNKNOWN":
    case "UNSUPPORTED_CERTIFICATE":
    case "ACCESS_DENIED":
    case "DECRYPT_ERROR":
      return own === undefined ? demand : `the server does not accept the client certificate ${own}`;
    case "UNKNOWN_CA":
      return own === undefined ? demand : `the server does not know who issued the client certificate ${own}`;
    case "CERTIFICATE_EXPIRED":
    case "CERTIFICATE_REVOKED":
      return `the client certificate ${own ?? ""} ${alert.endsWith("EXPIRED") ? "has expired" : "was revoked"}`;
    case "PROTOCOL_VERSION":
    case "INSUFFICIENT_SECURITY":
      return "server and client have no TLS version or cipher in common";
    case "UNRECOGNIZED_NAME":
      return `the server does not serve ${tls.serverName ?? host}: see tls.serverName`;
  }
  return undefined;
}

/** The first certificate of the chain that is out of its time. */
function outOfTime(leaf: DetailedPeerCertificate | undefined): string {
  const nowMs = Date.now();
  for (const { certificate, depth } of chainOf(leaf)) {
    const inTime = Date.parse(certificate.valid_from) <= nowMs && nowMs <= Date.parse(certificate.valid_to);
    if (!inTime)
      return `${depth === 0 ? "the server's certificate" : "its issuer's certificate"} ${described(certificate)}`;
  }
  return `the server's certificate ${described(leaf)}, or one of those who issued it,`;
}

function chainOf(leaf: DetailedPeerCertificate | undefined): { certificate: DetailedPeerCertificate; depth: number }[] {
  const chain: { certificate: DetailedPeerCertificate; depth: number }[] = [];
  let certificate: DetailedPeerCertificate | undefined = leaf;
  // A root is its own issuer.
  while (certificate?.valid_to !== undefined && !chain.some((link) => link.certificate === certificate)) {
    chain.push({ certificate, depth: chain.length });
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

/** `(CN=etcd, issued by CN=our CA, valid from … to …)` */
function described(certificate: DetailedPeerCertificate | undefined): string {
  if (certificate?.valid_to === undefined) return "(which it did not show)";
  const { subject, issuer, valid_from: from, valid_to: to } = certificate;
  return `(${nameOf(subject)}, issued by ${nameOf(issuer)}, valid from ${from} to ${to})`;
}

function nameOf(subject: DetailedPeerCertificate["subject"]): string {
  const parts = Object.entries(subject).map(([key, value]) => `${key}=${[value].flat().join("+")}`);
  return parts.length === 0 ? "without a name" : parts.join(", ");
}
