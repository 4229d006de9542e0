/**
 * Two things that Node knows and does not say. Both are only asked for here, and the tests of the acceptor fail when a
 * version of Node does not have them any more.
 */

import type { Socket } from "node:net";
import type { SecureContext, Server, TLSSocket } from "node:tls";

/** The connection that a secured one lies on; undefined if this Node does not tell. */
export function underneath(secured: TLSSocket): Socket | undefined {
  return Reflect.get(secured, "_parent") as Socket | undefined;
}

/**
 * Serves with a context that was made elsewhere. A server makes its own, but drops the option that lets an intermediate
 * authority be trusted without its root (Node 20).
 */
export function useContext(server: Server, context: SecureContext): void {
  Reflect.set(server, "_sharedCreds", context);
}
