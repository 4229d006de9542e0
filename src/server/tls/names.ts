/** Names in certificates, and who is let in by them. */

import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { NameRule } from "./types.js";

/** The common name: the last one, as in Go, if there are several; undefined without one. */
export function commonNameOf(certificate: X509Certificate): string | undefined {
  const { CN } = certificate.toLegacyObject().subject as { readonly CN?: string | readonly string[] };
  const last = typeof CN === "string" ? CN : CN?.at(-1);
  return last === "" ? undefined : last;
}

/** A certificate and who vouches for it, root included as far as it is known. */
export function* chainOf(leaf: X509Certificate): Generator<X509Certificate> {
  const seen = new Set<string>();
  for (let at: X509Certificate | undefined = leaf; at !== undefined; at = at.issuerCertificate) {
    if (seen.has(at.fingerprint256)) return;
    seen.add(at.fingerprint256);
    yield at;
  }
}

/** Why a certificate is not let in, in etcd's words; undefined if it is. */
export function ruleProblem(certificate: X509Certificate, rule: NameRule): string | undefined {
  return isAllowed(certificate, rule) ? undefined : "client certificate authentication failed";
}

function isAllowed(certificate: X509Certificate, rule: NameRule): boolean {
  switch (rule.kind) {
    case "any":
      return true;
    case "commonNames": {
      const name = commonNameOf(certificate);
      return name !== undefined && rule.names.includes(name);
    }
    case "hostnames":
      return rule.names.some((name) => isFor(certificate, name));
  }
}

/** Whether a certificate is for a host, by its alternative names and nothing else. */
export function isFor(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined;
  return certificate.checkHost(host, { subject: "never", partialWildcards: false }) !== undefined;
}

export interface AlternativeNames {
  readonly dnsNames: readonly string[];
  readonly addresses: readonly string[];
}

/** What stands in a certificate beside its common name. Node quotes names that hold a comma, so that none can pose as two. */
export function alternativeNamesOf({ subjectAltName = "" }: X509Certificate): AlternativeNames {
  const found = subjectAltName.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g);
  const names = Array.from(found, ([, kind = "", name = ""]) => ({ kind, name: unquoted(name) }));
  const of = (wanted: string): readonly string[] => names.filter(({ kind }) => kind === wanted).map(({ name }) => name);
  return { dnsNames: of("DNS"), addresses: of("IP Address") };
}

function unquoted(name: string): string {
  return name.startsWith('"') ? (JSON.parse(name) as string) : name;
}
