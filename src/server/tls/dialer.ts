/** How a member calls others with TLS: what it shows, whom it believes. Certificates are read again for every call. */

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { type ConnectionOptions, checkServerIdentity } from "node:tls";
import type { Credentials } from "./credentials.js";
import { chainOf, ruleProblem } from "./names.js";
import type { RevocationList } from "./revocation.js";
import type { NameRule } from "./types.js";

export interface DialerOptions {
  /** Asked for at the first call: a list of roots takes its time to load, and most members need none. */
  readonly credentials: () => Credentials;
  /** "nobody": members that made their certificates themselves cannot know each other's. */
  readonly verify: "authority" | "nobody";
  readonly rule: NameRule;
  readonly revocation: RevocationList | undefined;
}

export class TlsDialer {
  private readonly options: DialerOptions;

  constructor(options: DialerOptions) {
    this.options = options;
  }

  /** For a handshake with a host (name or address), now. */
  handshake(host: string): ConnectionOptions {
    const { credentials, verify } = this.options;
    return {
      host,
      // An address is no name to ask for (RFC 6066), but one to verify.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      secureContext: credentials().current().context,
      ALPNProtocols: ["h2"],
      rejectUnauthorized: verify === "authority",
      checkServerIdentity: (name, certificate) =>
        checkServerIdentity(name, certificate) ?? this.problemOf(certificate.raw),
    };
  }

  /** A member is called only if it would be let in: who holds a certificate for its address may be no member. */
  private problemOf(raw: Buffer): Error | undefined {
    const { rule, revocation } = this.options;
    const certificate = new X509Certificate(raw);
    const problem = ruleProblem(certificate, rule) ?? revocation?.problem(chainOf(certificate));
    return problem === undefined ? undefined : new Error(problem);
  }
}
