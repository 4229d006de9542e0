/** Connections to other members: gRPC clients that dial once, retry nothing and notice a peer that has gone silent. */

import { isIP, type Socket } from "node:net";
import { createSecureContext, connect as handshake, type SecureContext } from "node:tls";
import { CallCredentials, ChannelCredentials, type ChannelOptions, Client } from "@grpc/grpc-js";
import { PeerDefinition } from "../../../proto/gen/internal/raft.js";
import { methodsOf } from "../../../proto/methods.js";
import { type PeerEndpoint, PeerUrlError, targetOf } from "./address.js";
import type { PeerClientTls } from "./types.js";

export const methods = methodsOf(PeerDefinition);

/** Large enough for a link with 100 ms and 40 MB/s; grpc-js' own 64 KiB would let 640 KB/s through. */
export const flowControlWindowBytes = 4 * 1024 * 1024;
/** HTTP/2 pings: they wait behind what is being sent, so that this is no measure of a slow link. */
export const keepalive = { timeMs: 5_000, timeoutMs: 15_000 };

/** A gRPC client with its connection. Whoever opened it closes it. */
export interface Channel {
  readonly client: Client;
  /** Ends all calls, and the connection with them. */
  close(): void;
}

/** Reads certificates once. Throws what parsing them throws. */
export function secureContextOf(tls: PeerClientTls): SecureContext {
  return createSecureContext({
    ...(tls.ca === undefined ? {} : { ca: Buffer.from(tls.ca) }),
    ...(tls.cert === undefined ? {} : { cert: Buffer.from(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: Buffer.from(tls.key) }),
  });
}

/** Throws {@link PeerUrlError} for a secure endpoint without a context. */
export function openChannel(endpoint: PeerEndpoint, secureContext: SecureContext | undefined): Channel {
  const credentials = new SocketCredentials(endpoint, secureContext);
  const client = new Client(targetOf(endpoint), credentials, channelOptions);
  return {
    client,
    close() {
      client.close();
      credentials.destroySockets();
    },
  };
}

/** What grpc-js does to messages: nothing. They are encoded and decoded by those who know what they hold. */
export function sameBytes(bytes: Buffer): Buffer {
  return bytes;
}

/** The same bytes as grpc-js wants them. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

type Connector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/**
 * Sees the sockets that grpc-js opens, for two reasons. Left to itself it never lets go of a socket whose other end
 * accepts and then says nothing; and it asks for an address by TLS as if it were a name, which Node warns about.
 */
class SocketCredentials extends ChannelCredentials {
  private readonly endpoint: PeerEndpoint;
  private readonly secureContext: SecureContext | undefined;
  private readonly sockets = new Set<Socket>();

  constructor(endpoint: PeerEndpoint, secureContext: SecureContext | undefined) {
    super();
    if (endpoint.secure && secureContext === undefined) {
      throw new PeerUrlError("a peer URL asks for TLS and no certificates are given");
    }
    this.endpoint = endpoint;
    this.secureContext = secureContext;
  }

  destroySockets(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  override _isSecure(): boolean {
    return this.endpoint.secure;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(_target: unknown, _options: unknown, calls?: CallCredentials): Connector {
    return {
      connect: async (socket) => {
        this.keep(socket);
        const { secure } = this.endpoint;
        return { socket: secure ? await this.secured(socket) : socket, secure };
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => calls ?? CallCredentials.createEmpty(),
      destroy: () => undefined,
    };
  }

  private secured(socket: Socket): Promise<Socket> {
    const { place } = this.endpoint;
    const host = "path" in place ? "localhost" : place.host;
    return new Promise((resolve, reject) => {
      const secured = handshake({
        socket,
        host,
        ...(this.secureContext === undefined ? {} : { secureContext: this.secureContext }),
        // An address is no name to ask for (RFC 6066), but one to verify.
        ...(isIP(host) === 0 ? { servername: host } : {}),
        ALPNProtocols: ["h2"],
      });
      this.keep(secured);
      secured.once("secureConnect", () => resolve(secured));
      secured.once("close", () => reject(new Error("the connection was closed during the handshake")));
      secured.on("error", reject);
    });
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
  }
}

const channelOptions: ChannelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.keepalive_time_ms": keepalive.timeMs,
  "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
  "grpc-node.flow_control_window": flowControlWindowBytes,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_http_proxy": 0,
  "grpc.enable_channelz": 0,
  "grpc.service_config_disable_resolution": 1,
  // Nothing is sent twice, and a write is told to be done when it is, not when a copy for a retry has been taken.
  "grpc.enable_retries": 0,
  "grpc.per_rpc_retry_buffer_size": 0,
};
