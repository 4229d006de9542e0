/** A TCP proxy that breaks connections on demand: cut, refuse, delay, swallow one direction or both. */
import { connect, createServer, type Socket } from "node:net";

/** What happens to bytes on their way. "swallow" drops them, as a network does that has gone away without a word. */
export type Flow = "pass" | "hold" | "swallow";

export interface TcpProxy extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  readonly connectionCount: number;
  /** Whether bytes are being swallowed in either direction, or new connections left without an answer. */
  readonly swallows: boolean;
  /** Bytes that servers sent and clients got, over all connections. */
  readonly repliedBytes: number;
  /** Where connections to come are forwarded: a URL with host and port. */
  forwardTo(target: string): void;
  /** Breaks every connection at once. */
  cut(): void;
  /** Whether new connections are let through, refused, or accepted and left without an answer. */
  admit(mode: "all" | "refuse" | "silent"): void;
  /** Sets what happens to bytes of connections there are and to come. Held bytes flow when set to "pass". */
  flow(direction: { readonly requests?: Flow; readonly replies?: Flow }): void;
  /** Milliseconds that every byte takes longer from now on, in each direction. */
  delay(ms: number): void;
  /** Cuts everything as soon as the clients have got so many more bytes. */
  cutAfterReplies(bytes: number): Promise<void>;
  stop(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** What is held in each direction. */
  readonly held: { readonly requests: Buffer[]; readonly replies: Buffer[] };
  readonly lanes: { readonly requests: Lane; readonly replies: Lane };
}

/** Bytes of one direction on their way, in order, whatever becomes of the delay. */
class Lane {
  private readonly waiting: { readonly dueMs: number; readonly deliver: () => void }[] = [];
  private timer: NodeJS.Timeout | undefined;

  push(delayMs: number, deliver: () => void): void {
    if (delayMs === 0 && this.waiting.length === 0) return deliver();
    this.waiting.push({ dueMs: performance.now() + delayMs, deliver });
    if (this.timer === undefined) this.arm();
  }

  private arm(): void {
    const [next] = this.waiting;
    if (next === undefined) return;
    this.timer = setTimeout(() => this.onTimer(), Math.max(0, next.dueMs - performance.now()));
    this.timer.unref();
  }

  private onTimer(): void {
    this.timer = undefined;
    this.waiting.shift()?.deliver();
    this.arm();
  }
}

/** Listens on a free port and forwards to `target`, a URL with host and port. The caller stops it. */
export async function startTcpProxy(target?: string): Promise<TcpProxy> {
  const proxy = new BreakableProxy();
  if (target !== undefined) proxy.forwardTo(target);
  await proxy.listen();
  return proxy;
}

class BreakableProxy implements TcpProxy {
  endpoint = "";
  repliedBytes = 0;
  private readonly pairs = new Set<Pair>();
  private readonly server = createServer((client) => this.accept(client));
  private target: { readonly host: string; readonly port: number } | undefined;
  private admission: "all" | "refuse" | "silent" = "all";
  private readonly flows: { requests: Flow; replies: Flow } = { requests: "pass", replies: "pass" };
  private delayMs = 0;
  private limit: { readonly bytes: number; readonly reached: () => void } | undefined;

  get connectionCount(): number {
    return this.pairs.size;
  }

  get swallows(): boolean {
    const { requests, replies } = this.flows;
    return requests === "swallow" || replies === "swallow" || this.admission === "silent";
  }

  forwardTo(target: string): void {
    const { hostname, port } = new URL(target);
    this.target = { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(0, "127.0.0.1", resolve);
    });
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

  delay(ms: number): void {
    this.delayMs = ms;
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
    if (this.admission === "refuse" || this.target === undefined) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.target);
    const pair: Pair = {
      client,
      server,
      held: { requests: [], replies: [] },
      lanes: { requests: new Lane(), replies: new Lane() },
    };
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
    const { held, lanes } = pair;
    client.on("data", (chunk: Buffer) =>
      lanes.requests.push(this.delayMs, () => this.pass(chunk, this.flows.requests, server, held.requests)),
    );
    server.on("data", (chunk: Buffer) => lanes.replies.push(this.delayMs, () => this.reply(chunk, pair)));
  }

  private reply(chunk: Buffer, { client, held }: Pair): void {
    if (this.flows.replies === "pass") this.repliedBytes += chunk.length;
    this.pass(chunk, this.flows.replies, client, held.replies);
    this.checkLimit();
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
