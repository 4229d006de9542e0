/**
 * Makes TLS of connections that somebody else accepted: shakes hands within a bound, checks who calls, and passes on those
 * who may. All others are cut, and the log says who and why.
 */

import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { addressProblem, type NameService } from "./caller-address.js";
import type { Complaints } from "./complaints.js";
import type { Credentials, LoadedCredentials } from "./credentials.js";
import { chainOf, commonNameOf, ruleProblem } from "./names.js";
import { underneath, useContext } from "./node-internals.js";
import { reasonOf } from "./pem.js";
import type { RevocationList } from "./revocation.js";
import type { NameRule } from "./types.js";

/** From the first byte to the end of the checks. Source: spec/server.md 1.2. */
const handshakeTimeoutMsDefault = 10_000;

/** Who is let in. */
export interface Admission {
  readonly credentials: Credentials;
  readonly requireCertificate: boolean;
  readonly rule: NameRule;
  readonly revocation: RevocationList | undefined;
  /** How a caller's address is held against its certificate; undefined if it is not. */
  readonly names: NameService | undefined;
}

/** A connection whose caller may come in. */
export interface Secured {
  readonly socket: TLSSocket;
  /** The connection that it lies on. */
  readonly plain: Socket;
  /** Of the certificate that was demanded and verified; undefined without one, or if it has none. */
  readonly commonName: string | undefined;
}

export interface AcceptorOptions {
  readonly admission: Admission;
  /** What may be spoken, by ALPN; a caller that does not ask may speak anything. */
  readonly protocols: readonly string[];
  /** What the log calls the port: "client" or "peer". */
  readonly endpoint: string;
  readonly complaints: Complaints;
  readonly onSecured: (secured: Secured) => void;
  readonly handshakeTimeoutMs?: number;
}

/** A connection on its way in. */
interface Handshake {
  readonly remote: string;
  readonly cancelTimeout: () => void;
  /** It was let in, or turned away. */
  over: boolean;
}

export class TlsAcceptor {
  private readonly options: AcceptorOptions;
  private readonly timeoutMs: number;
  private readonly server: Server;
  private readonly handshakes = new WeakMap<Socket, Handshake>();
  private loaded: LoadedCredentials;

  constructor(options: AcceptorOptions) {
    this.options = options;
    this.timeoutMs = options.handshakeTimeoutMs ?? handshakeTimeoutMsDefault;
    const { credentials, requireCertificate } = options.admission;
    this.loaded = credentials.current();
    this.server = createServer({
      ...this.loaded.options,
      ALPNProtocols: [...options.protocols],
      requestCert: requireCertificate,
      rejectUnauthorized: requireCertificate,
      handshakeTimeout: this.timeoutMs,
    });
    useContext(this.server, this.loaded.context);
    this.server.on("secureConnection", (socket) => void this.examine(socket));
    this.server.on("tlsClientError", (error, socket) => this.failed(socket, error));
  }

  /** Takes over a connection whose first bytes are a handshake, unread. */
  accept(plain: Socket): void {
    this.refresh();
    const remote = plain.remoteAddress === undefined ? "unix" : `${plain.remoteAddress}:${plain.remotePort}`;
    const timeout = setTimeout(() => this.refuse(plain, "TLS handshake timed out"), this.timeoutMs);
    const cancelTimeout = (): void => clearTimeout(timeout);
    this.handshakes.set(plain, { remote, cancelTimeout, over: false });
    plain.once("close", cancelTimeout);
    // What breaks it is told by the TLS on top.
    plain.on("error", () => plain.destroy());
    this.server.emit("connection", plain);
  }

  private refresh(): void {
    const loaded = this.options.admission.credentials.current();
    if (loaded === this.loaded) return;
    this.server.setSecureContext(loaded.options);
    useContext(this.server, loaded.context);
    this.loaded = loaded;
  }

  /** The handshake is done, and with it the proof that the caller has the key of a certificate that the roots vouch for. */
  private async examine(socket: TLSSocket): Promise<void> {
    socket.on("error", () => socket.destroy());
    const plain = underneath(socket);
    const handshake = plain === undefined ? undefined : this.handshakes.get(plain);
    if (plain === undefined || handshake === undefined) return void socket.destroy();
    const { requireCertificate } = this.options.admission;
    const certificate = requireCertificate ? socket.getPeerX509Certificate() : undefined;
    const problem = requireCertificate ? await this.problemOf(certificate, plain) : undefined;
    if (problem !== undefined) return this.refuse(plain, problem);
    if (handshake.over || socket.destroyed) return;
    handshake.over = true;
    handshake.cancelTimeout();
    this.options.onSecured({
      socket,
      plain,
      commonName: certificate === undefined ? undefined : commonNameOf(certificate),
    });
  }

  private async problemOf(certificate: X509Certificate | undefined, plain: Socket): Promise<string | undefined> {
    const { rule, revocation, names } = this.options.admission;
    if (certificate === undefined) return "no certificate was shown";
    try {
      const problem = ruleProblem(certificate, rule) ?? revocation?.problem(chainOf(certificate));
      // A socket in the file system has no address; who may open it is for the file system to say.
      if (problem !== undefined || names === undefined || plain.remoteAddress === undefined) return problem;
      return await addressProblem(certificate, plain.remoteAddress, names);
    } catch (error) {
      return `the certificate cannot be checked: ${reasonOf(error)}`;
    }
  }

  private refuse(plain: Socket, reason: string): void {
    const handshake = this.handshakes.get(plain);
    if (handshake !== undefined) this.complain(handshake, reason);
    plain.destroy();
  }

  private failed(socket: TLSSocket, error: Error): void {
    const plain = underneath(socket);
    const handshake = plain === undefined ? undefined : this.handshakes.get(plain);
    if (handshake !== undefined) this.complain(handshake, failureOf(socket, error));
    socket.destroy();
  }

  private complain(handshake: Handshake, error: string | undefined): void {
    if (handshake.over) return;
    handshake.over = true;
    handshake.cancelTimeout();
    const { complaints, endpoint } = this.options;
    const message = `rejected connection on ${endpoint} endpoint`;
    if (error === undefined) complaints.mention(message, handshake.remote, "the caller hung up");
    else complaints.say(message, handshake.remote, error);
  }
}

/** What went wrong in a handshake; undefined if the caller just left. */
function failureOf(socket: TLSSocket, error: Error): string | undefined {
  // A code such as CERT_HAS_EXPIRED, whatever its type says.
  const verdict: unknown = socket.authorizationError;
  if (typeof verdict === "string") return `client certificate: ${verdicts[verdict] ?? verdict}`;
  const { code } = error as { code?: unknown };
  return code === "ECONNRESET" ? undefined : `TLS handshake: ${reasonOf(error)}`;
}

const unknownAuthority = "signed by unknown authority";

/** The usual ones of OpenSSL's codes. */
const verdicts: Readonly<Record<string, string>> = {
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  CERT_SIGNATURE_FAILURE: "its signature is wrong",
  CERT_HAS_EXPIRED: "it has expired",
  CERT_NOT_YET_VALID: "it is not yet valid",
  INVALID_PURPOSE: "it is not for clients",
};
