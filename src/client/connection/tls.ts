/** TLS on a connected socket, as the client's options want it. */
import { readFileSync } from "node:fs";
import { isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import type { Pem, TlsOptions } from "../options.js";

/** Reads the files that the options name. Throws what reading and parsing them throw. */
export function secureContextOf(tls: TlsOptions): SecureContext {
  return createSecureContext({
    ...(tls.ca === undefined ? {} : { ca: pemBytes(tls.ca) }),
    ...(tls.cert === undefined ? {} : { cert: pemBytes(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: pemBytes(tls.key) }),
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

/** Rejects if the server's certificate does not convince, unless the options do not care. */
export function secure(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = connect({ ...options, socket }, () => resolve(secured));
    secured.on("error", reject);
  });
}

function pemBytes(pem: Pem): Buffer {
  if (typeof pem === "string") return Buffer.from(pem);
  return pem instanceof Uint8Array ? Buffer.from(pem) : readFileSync(pem.file);
}
