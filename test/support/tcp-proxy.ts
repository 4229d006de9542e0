/** A TCP proxy that breaks connections on demand: cut, refuse, swallow one direction or both. */
import { connect, createServer, type Socket } from "node:net";

/** What happens to bytes on their way. "swallow" drops them, as a network does that has gone away without a word. */
export type Flow = "pass" | "hold" | "swallow";

export interface TcpProxy extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  readonly connectionCount: number;
  /** Bytes that servers sent and clients got, over all connections. */
  readonly repliedBytes: number;
  /** Breaks every connection at once. */
  cut(): void;
  /** Whether new connections are let through, refused, or accepted and left without an answer. */
  admit(mode: "all" | "refuse" | "silent"): void;
  /** Sets what happens to bytes of connections there are and to come. Held bytes flow when set to "pass". */
  flow(direction: { readonly requests?: Flow; readonly replies?: Flow }): void;
  /** Cuts everything as soon as the clients have got so many more bytes. */
  cutAfterReplies(bytes: number): Promise<void>;
  stop(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** What is held in each direction. */
  readonly held: { readonly requests: Buffer[]; readonly replies: Buffer[] };
}

/** Listens on a free port and forwards to `target`, a URL with host and port. The caller stops it. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target);
  const proxy = new BreakableProxy(hostname, Number(port));
  await proxy.listen();
  return proxy;
}

class BreakableProxy implements TcpProxy {
  endpoint = "";
  repliedBytes = 0;
  private readonly pairs = new Set<Pair>();
  private readonly server = createServer((client) => this.accept(client));
  private readonly host: string;
  private readonly port: number;
  private admission: "all" | "refuse" | "silent" = "all";
  private readonly flows: { requests: Flow; replies: Flow } = { requests: "pass", replies: "pass" };
  private limit: { readonly bytes: number; readonly reached: () => void } | undefined;

  constructor(host: string, port: number) {
    this.host = host;
    this.port = port;
  }

  get connectionCount(): number {
    return this.pairs.size;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    const address = this.server.address();
    if (address === null || typeof address === "string") throw new Error("no port was given");
    this.endpoint = `http://127.0.0.1:${address.port}`;
  }

  cut(): void {
    for (const { client, server } of this.pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
    this.pairs.clear();
  }

  admit(mode: "all" | "refuse" | "silent"): void {
    this.admission = mode;
  }

  flow(direction: { readonly requests?: Flow; readonly replies?: Flow }): void {
    Object.assign(this.flows, direction);
    for (const { client, server, held } of this.pairs) {
      if (this.flows.requests === "pass") for (const chunk of held.requests.splice(0)) server.write(chunk);
      if (this.flows.replies === "pass") for (const chunk of held.replies.splice(0)) client.write(chunk);
    }
  }

  cutAfterReplies(bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.limit = { bytes: this.repliedBytes + bytes, reached: resolve };
    });
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private accept(client: Socket): void {
    client.on("error", () => client.destroy());
    if (this.admission === "refuse") {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.port, this.host);
    const pair: Pair = { client, server, held: { requests: [], replies: [] } };
    this.pairs.add(pair);
    server.on("error", () => client.destroy());
    const end = (): void => {
      this.pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    client.on("close", end);
    server.on("close", end);
    if (this.admission === "silent") return;
    client.on("data", (chunk: Buffer) => this.pass(chunk, this.flows.requests, server, pair.held.requests));
    server.on("data", (chunk: Buffer) => {
      if (this.flows.replies === "pass") this.repliedBytes += chunk.length;
      this.pass(chunk, this.flows.replies, client, pair.held.replies);
      this.checkLimit();
    });
  }

  private pass(chunk: Buffer, flow: Flow, to: Socket, held: Buffer[]): void {
    switch (flow) {
      case "pass":
        if (!to.destroyed) to.write(chunk);
        return;
      case "hold":
        held.push(chunk);
        return;
      case "swallow":
        return;
    }
  }

  private checkLimit(): void {
    if (this.limit === undefined || this.repliedBytes < this.limit.bytes) return;
    const { reached } = this.limit;
    this.limit = undefined;
    this.cut();
    reached();
  }
}
