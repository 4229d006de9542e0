/**
 * Wider HTTP/2 windows for the receiving side. grpc-js lets a client choose them and leaves a server at 64 KiB, which
 * is one round trip for every 64 KiB of a snapshot. It has no option for it, so this reaches for the fields it has; if a
 * later version names them otherwise, long links are slower and a test says so.
 */

import type { Http2Server, ServerHttp2Session, Settings } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import { flowControlWindowBytes } from "./channel.js";

interface Inside {
  readonly commonServerOptions?: { settings?: Settings };
  readonly http2Servers?: ReadonlyMap<Http2Server, unknown>;
}

/** Calls `open`, which has the server listen, and returns its result. */
export function widenWindows<T>(server: Server, open: () => T): T {
  const inside = server as unknown as Inside;
  if (inside.commonServerOptions !== undefined) {
    const { settings } = inside.commonServerOptions;
    inside.commonServerOptions.settings = { ...settings, initialWindowSize: flowControlWindowBytes };
  }
  const result = open();
  for (const http2Server of inside.http2Servers?.keys() ?? []) {
    http2Server.on("session", (session: ServerHttp2Session) => {
      // The window of a connection is told apart from those of its streams, once it stands.
      session.once("connect", () => session.setLocalWindowSize(flowControlWindowBytes));
    });
  }
  return result;
}
