/** A TCP proxy with a slow line: each connection passes so many bytes a second to the server, and not one more. */
import { connect, createServer, type Socket } from "node:net";

export interface Throttle extends AsyncDisposable {
  readonly url: string;
}

const sliceMs = 10;

/** Listens on a free port and forwards to `target`. The caller disposes it. */
export async function startThrottle(target: string, limit: { readonly bytesPerSecond: number }): Promise<Throttle> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    return socket;
  };
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = keep(connect({ port: Number(port), host: hostname, noDelay: true }));
    keep(client).on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
    upstream.pipe(client);
    trickle(client, upstream, (limit.bytesPerSecond * sliceMs) / 1_000);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Reads only what may pass, so that the sender's buffers fill up as on a slow line. */
function trickle(from: Socket, to: Socket, bytesPerSlice: number): void {
  from.pause();
  const timer = setInterval(() => {
    const available = Math.min(bytesPerSlice, from.readableLength);
    // Asking for more than there is makes the socket read on.
    const chunk = (available > 0 ? from.read(available) : from.read(0)) as Buffer | null;
    if (chunk !== null && !to.destroyed) to.write(chunk);
  }, sliceMs);
  from.once("close", () => clearInterval(timer));
}
