/**
 * How a socket becomes one that HTTP/2 may use, and, if that fails, why. A door is a connection's own; it knows of every
 * attempt what went wrong, because what reaches a caller through gRPC is only a line of text.
 */
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { Code } from "../../../proto/status.js";
import { silent, type TlsOptions } from "../options.js";
import type { EndpointUrl } from "./endpoint-url.js";
import { HandshakeError, handshakeOptions, secure, TlsIdentity } from "./tls.js";
import { type Explanation, explainHandshake, explainHangUp } from "./tls-errors.js";
import { type ConnectionSettings, TransportError } from "./transport.js";

/** A server that has not answered a TLS hello by then is taken for one that does not speak it. */
const probeMs = 1_000;

/** One address of an endpoint, tried again and again. */
export interface Attempt {
  /** Before a socket is opened. Rejects if there is no point in one. */
  begin(): Promise<void>;
  /** Takes the connected socket. Rejects with what the caller shall read. */
  open(socket: Socket): Promise<Socket>;
  end(): void;
}

export interface Door {
  readonly secure: boolean;
  attempt(): Attempt;
  /** HTTP/2 is spoken: whatever ends the connection from here on is no failed attempt. */
  connected(): void;
  /** Why the last attempt failed, if that is known better than gRPC knows it. */
  trouble(): Promise<TransportError | undefined>;
}

/** Warns if nothing will be verified. */
export function doorFor(url: EndpointUrl, settings: ConnectionSettings): Door {
  if (!url.secure) return new PlainDoor();
  const tls = settings.tls ?? {};
  if (tls.insecureSkipVerify === true) warnOfTrust(tls, settings);
  return new TlsDoor(tls, url.host, settings);
}

/** The options of clients that were warned of, each once. */
const warnedOf = new WeakSet<TlsOptions>();

function warnOfTrust(tls: TlsOptions, { log }: ConnectionSettings): void {
  if (warnedOf.has(tls)) return;
  warnedOf.add(tls);
  const message =
    "TLS: the server's certificate is not verified (tls.insecureSkipVerify): anyone on the way can read and change everything";
  if (log === silent) process.emitWarning(message, { type: "SecurityWarning", code: "LITECD_TLS_NOT_VERIFIED" });
  else log({ level: "warn", message });
}

function refusal({ message, lasting }: Explanation, cause: unknown): TransportError {
  return new TransportError(message, { grpcStatus: Code.UNAVAILABLE, sent: false, lasting, cause });
}

interface AttemptState {
  trouble: TransportError | undefined;
  /** It led to a connection. */
  over: boolean;
}

class TlsDoor implements Door {
  readonly secure = true;
  private readonly tls: TlsOptions;
  private readonly host: string;
  private readonly identity: TlsIdentity;
  private readonly attempts = new Set<AttemptState>();

  constructor(tls: TlsOptions, host: string, settings: ConnectionSettings) {
    this.tls = tls;
    this.host = host;
    this.identity = new TlsIdentity(tls, settings.log);
  }

  attempt(): Attempt {
    const state: AttemptState = { trouble: undefined, over: false };
    this.attempts.add(state);
    return {
      begin: async () => {
        state.trouble = undefined;
        state.over = false;
        await this.identity.context().catch((error: unknown) => {
          const message = `TLS: ${error instanceof Error ? error.message : String(error)}`;
          state.trouble = refusal({ message, lasting: true }, error);
          throw state.trouble;
        });
      },
      open: (socket) => this.open(socket, state),
      end: () => this.attempts.delete(state),
    };
  }

  trouble(): Promise<TransportError | undefined> {
    const [first] = [...this.attempts].flatMap(({ trouble }) => (trouble === undefined ? [] : [trouble]));
    return Promise.resolve(first);
  }

  connected(): void {
    for (const state of this.attempts) {
      state.over = true;
      state.trouble = undefined;
    }
  }

  private async open(socket: Socket, state: AttemptState): Promise<Socket> {
    const context = await this.identity.context();
    try {
      const secured = await secure(socket, handshakeOptions(this.tls, context, this.host));
      // With TLS 1.3 a server judges the client's certificate after the handshake has ended for the client.
      secured.on("error", (error) => {
        if (!state.over) state.trouble ??= this.explained(error);
      });
      secured.once("close", () => {
        if (!state.over) state.trouble ??= refusal(explainHangUp(this.tls), undefined);
      });
      return secured;
    } catch (error) {
      state.trouble = this.explained(error);
      throw state.trouble;
    }
  }

  private explained(error: unknown): TransportError {
    const cause = error instanceof HandshakeError ? error.cause : error;
    const certificate = error instanceof HandshakeError ? error.certificate : undefined;
    const reason = cause instanceof Error ? cause : new Error(String(cause));
    return refusal(explainHandshake(reason, { tls: this.tls, host: this.host, certificate }), reason);
  }
}

class PlainDoor implements Door {
  readonly secure = false;
  /** Who accepted a connection and then did not speak HTTP/2. */
  private silent: { readonly host: string; readonly port: number } | undefined;

  attempt(): Attempt {
    return {
      begin: async () => {
        this.silent = undefined;
      },
      open: async (socket) => {
        const { remoteAddress: host, remotePort: port } = socket;
        if (host !== undefined && port !== undefined) {
          socket.once("close", () => {
            // A connection that HTTP/2 was spoken on has read a server's settings.
            if (socket.bytesRead === 0 || looksLikeAlert(socket)) this.silent = { host, port };
          });
        }
        return socket;
      },
      end: () => {},
    };
  }

  connected(): void {
    this.silent = undefined;
  }

  /** Asks whether a server that hung up would have spoken TLS. */
  async trouble(): Promise<TransportError | undefined> {
    const { silent: address } = this;
    if (address === undefined || !(await speaksTls(address))) return undefined;
    const message = "the server speaks TLS: use https:// for it, or give tls options";
    return refusal({ message: `TLS: ${message}`, lasting: true }, undefined);
  }
}

/** A TLS server answers plain text with an alert of 7 bytes; the shortest settings of HTTP/2 are 9. */
function looksLikeAlert(socket: Socket): boolean {
  return socket.bytesRead === 7;
}

/** Whether a TLS server is there, whatever it thinks of us. Nothing is sent after the hello. */
function speaksTls(address: { readonly host: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({ ...address, ALPNProtocols: ["h2"], rejectUnauthorized: false });
    const settle = (answer: boolean): void => {
      resolve(answer);
      socket.destroy();
    };
    socket.once("secureConnect", () => settle(true));
    socket.once("error", (error) => settle("code" in error && /ALERT/.test(String(error.code))));
    socket.setTimeout(probeMs, () => settle(false));
  });
}
