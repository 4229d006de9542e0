/** Connections to other members: gRPC clients that dial once, retry nothing and notice a peer that has gone silent. */

import { isIP } from "node:net";
import { checkServerIdentity, createSecureContext, type SecureContext } from "node:tls";
import { ChannelCredentials, type ChannelOptions, Client } from "@grpc/grpc-js";
import { PeerDefinition } from "../../../proto/gen/internal/raft.js";
import { methodsOf } from "../../../proto/methods.js";
import { type PeerEndpoint, PeerUrlError, targetOf } from "./address.js";
import type { PeerClientTls } from "./types.js";

export const methods = methodsOf(PeerDefinition);

/** Large enough for a link with 100 ms and 40 MB/s; grpc-js' own 64 KiB would let 640 KB/s through. */
export const flowControlWindowBytes = 4 * 1024 * 1024;
/** HTTP/2 pings: they wait behind what is being sent, so that this is no measure of a slow link. */
const keepalive = { timeMs: 5_000, timeoutMs: 15_000 };

/** Reads certificates once. Throws what parsing them throws. */
export function secureContextOf(tls: PeerClientTls): SecureContext {
  return createSecureContext({
    ...(tls.ca === undefined ? {} : { ca: Buffer.from(tls.ca) }),
    ...(tls.cert === undefined ? {} : { cert: Buffer.from(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: Buffer.from(tls.key) }),
  });
}

/** The caller closes it. Throws {@link PeerUrlError} for a secure URL without a context. */
export function openClient(endpoint: PeerEndpoint, secureContext: SecureContext | undefined): Client {
  return new Client(targetOf(endpoint), credentialsOf(endpoint, secureContext), channelOptions(endpoint));
}

/** What grpc-js does to messages: nothing. They are encoded and decoded by those who know what they hold. */
export function sameBytes(bytes: Buffer): Buffer {
  return bytes;
}

/** The same bytes as grpc-js wants them. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Name by which an address is asked for: an address is no name (RFC 6066), and is verified below all the same. */
const nameForAddresses = "peer.litecd.internal";

function addressOf({ place }: PeerEndpoint): string | undefined {
  if ("path" in place) return "localhost";
  return isIP(place.host) === 0 ? undefined : place.host;
}

function credentialsOf(endpoint: PeerEndpoint, secureContext: SecureContext | undefined): ChannelCredentials {
  if (!endpoint.secure) return ChannelCredentials.createInsecure();
  if (secureContext === undefined) throw new PeerUrlError("a peer URL asks for TLS and no certificates are given");
  const address = addressOf(endpoint);
  const checks = address === undefined ? {} : { checkServerIdentity: verify(address) };
  return ChannelCredentials.createFromSecureContext(secureContext, checks);
}

function verify(address: string): typeof checkServerIdentity {
  return (_name, certificate) => checkServerIdentity(address, certificate);
}

function channelOptions(endpoint: PeerEndpoint): ChannelOptions {
  return {
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
    ...(endpoint.secure && addressOf(endpoint) !== undefined
      ? { "grpc.ssl_target_name_override": nameForAddresses }
      : {}),
  };
}
