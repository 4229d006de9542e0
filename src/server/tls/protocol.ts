/** Versions and ciphers as OpenSSL takes them. */

import { constants } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import type { TlsProtocol } from "./types.js";

/** Every suite of TLS 1.3 is good. Go cannot switch them one by one, so etcd's flag leaves them alone. */
const suites13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/** Authenticated encryption with a key of the moment; everything else has been broken, or will be. */
const suites12 = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"].flatMap((cipher) => [
  `ECDHE-ECDSA-${cipher}`,
  `ECDHE-RSA-${cipher}`,
]);

/** What every handshake of this server begins with, on either side. */
export function secureOptions({ minVersion, maxVersion, ciphers }: TlsProtocol): SecureContextOptions {
  const named13 = ciphers.filter((cipher) => cipher.startsWith("TLS_"));
  const named12 = ciphers.filter((cipher) => !cipher.startsWith("TLS_"));
  const with13 = named13.length > 0 ? named13 : suites13;
  const with12 = ciphers.length > 0 ? named12 : suites12;
  return {
    minVersion,
    maxVersion,
    ciphers: [...(maxVersion === "TLSv1.3" ? with13 : []), ...(minVersion === "TLSv1.2" ? with12 : [])].join(":"),
    // A session that is taken up again brings its certificate unchecked: revoked, expired or of roots that are gone.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    // As in Go, whoever is in the file of roots is one, signed by another or not.
    allowPartialTrustChain: true,
  };
}
