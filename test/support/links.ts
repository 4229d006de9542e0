/**
 * The network between the members of a cluster on one machine, and between clients and members: a proxy in front of every
 * port, with a weather of its own for each direction of each pair. Nothing is lost from a connection, as with TCP: what is
 * blocked waits, and flows on when the block is lifted. Who dialled is found out through /proc, so this needs Linux.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";

/** What happens to bytes on their way from one end to the other. */
export interface Weather {
  /** Bytes wait, and so does the news that a connection has ended. */
  readonly blocked: boolean;
  readonly delayMs: number;
}

/** The name that all clients go by. */
export const clients = "clients";

const fair: Weather = { blocked: false, delayMs: 0 };
/** What a pump holds before it stops reading, as the buffers of a network would. */
const heldBytesMax = 1 << 20;

/** The processes that may dial, by process id. */
type Dialers = () => ReadonlyMap<number, string>;

/** Whoever makes it disposes of it. */
export class Links {
  readonly #dialers: Dialers;
  readonly #weather = new Map<string, Weather>();
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Connection>();
  readonly #inodes = new SocketInodes();
  #disposed = false;

  /** `dialers` tells which member has which process id at the time of asking. */
  constructor(dialers: Dialers) {
    this.#dialers = dialers;
  }

  /** Puts a proxy in front of a member's peer port; gives the URL to tell the others. */
  async inFrontOfPeers(listenPeerUrl: string, name: string): Promise<string> {
    const { port } = new URL(listenPeerUrl);
    return `http://127.0.0.1:${await this.#serve(Number(port), name, (socket) => this.#whoDialled(socket))}`;
  }

  /** Puts a proxy in front of a member's client port ("host:port"); gives the "host:port" for clients. */
  async inFrontOfClients(endpoint: string, name: string): Promise<string> {
    const port = Number(endpoint.split(":").at(-1));
    return `127.0.0.1:${await this.#serve(port, name, () => Promise.resolve(clients))}`;
  }

  /** Changes the weather from one end to the other, in this direction only. */
  set(from: string, to: string, change: Partial<Weather>): void {
    this.#weather.set(wayOf(from, to), { ...this.#at(from, to), ...change });
    for (const connection of this.#connections) connection.wake();
  }

  /** In both directions. */
  setBoth(one: string, other: string, change: Partial<Weather>): void {
    this.set(one, other, change);
    this.set(other, one, change);
  }

  /** Good weather everywhere: what waited flows on. */
  heal(): void {
    this.#weather.clear();
    for (const connection of this.#connections) connection.wake();
  }

  /** Resets every connection between the two, whoever dialled. */
  reset(one: string, other: string): void {
    for (const connection of this.#connections) {
      if (connection.joins(one, other)) connection.destroy();
    }
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #at(from: string, to: string): Weather {
    return this.#weather.get(wayOf(from, to)) ?? fair;
  }

  async #serve(targetPort: number, name: string, dialler: Dialler): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => undefined);
      void dialler(socket).then((from) => this.#join({ from, to: name, socket, targetPort }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.#servers.push(server);
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port was given");
    return address.port;
  }

  #join({ from, ...ends }: Omit<Ends, "from"> & { readonly from: string | undefined }): void {
    // Dead before we could look, or none of ours.
    if (from === undefined || this.#disposed) return void ends.socket.destroy();
    const connection = new Connection({ from, ...ends }, (a, b) => this.#at(a, b));
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }

  async #whoDialled(socket: Socket): Promise<string | undefined> {
    const inode = await this.#inodes.of(socket.remotePort ?? 0, socket.localPort ?? 0);
    if (inode === undefined) return undefined;
    for (const [pid, name] of this.#dialers()) if (holds(pid, `socket:[${inode}]`)) return name;
    return undefined;
  }
}

/** Tells who is at the other end of a socket. */
type Dialler = (socket: Socket) => Promise<string | undefined>;

function wayOf(from: string, to: string): string {
  return `${from}>${to}`;
}

/** Looks up sockets in the kernel's table, which costs milliseconds to read: all who ask meanwhile share the next reading. */
class SocketInodes {
  #next: Promise<ReadonlyMap<string, string>> | undefined;
  #current: Promise<unknown> = Promise.resolve();

  /** The inode of the socket with this local and this remote port, on 127.0.0.1. */
  async of(localPort: number, remotePort: number): Promise<string | undefined> {
    this.#next ??= this.#readNext();
    return (await this.#next).get(`0100007F:${hex(localPort)} 0100007F:${hex(remotePort)}`);
  }

  async #readNext(): Promise<ReadonlyMap<string, string>> {
    await this.#current;
    // Whoever asks from here on may have come too late for this reading.
    this.#next = undefined;
    const reading = readFile("/proc/net/tcp", "utf8");
    this.#current = reading.catch(() => undefined);
    const rows = (await reading)
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
    return new Map(rows.map((columns) => [`${columns[1]} ${columns[2]}`, columns[9] ?? ""]));
  }
}

/** As the kernel prints it. */
function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, "0");
}

function holds(pid: number, link: string): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((descriptor) => linkOf(`${directory}/${descriptor}`) === link);
  } catch {
    // The process has gone.
    return false;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    // Closed between the listing and the look.
    return undefined;
  }
}

interface Ends {
  readonly from: string;
  readonly to: string;
  readonly socket: Socket;
  readonly targetPort: number;
}

/** One connection through a proxy: two sockets and a pump for each direction. */
class Connection {
  readonly closed: Promise<void>;
  readonly #ends: readonly [string, string];
  readonly #sockets: readonly [Socket, Socket];
  readonly #pumps: readonly [Pump, Pump];

  constructor({ from, to, socket, targetPort }: Ends, weather: (from: string, to: string) => Weather) {
    const target = connect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true });
    for (const one of [socket, target]) one.setNoDelay(true);
    this.#ends = [from, to];
    this.#sockets = [socket, target];
    this.#pumps = [
      new Pump(socket, target, () => weather(from, to)),
      new Pump(target, socket, () => weather(to, from)),
    ];
    this.closed = new Promise((resolve) => {
      let open = 2;
      for (const one of this.#sockets) one.once("close", () => --open === 0 && resolve());
    });
  }

  joins(one: string, other: string): boolean {
    return this.#ends.includes(one) && this.#ends.includes(other);
  }

  wake(): void {
    for (const pump of this.#pumps) pump.flush();
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }
}

/** Carries bytes one way, and then the end of the connection. */
class Pump {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #weather: () => Weather;
  readonly #held: { readonly chunk: Buffer; readonly dueMs: number }[] = [];
  #heldBytes = 0;
  /** How the source ended, once it has. */
  #ended: "end" | "reset" | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: Socket, sink: Socket, weather: () => Weather) {
    this.#source = source;
    this.#sink = sink;
    this.#weather = weather;
    source.on("data", (chunk: Buffer) => this.#take(chunk));
    source.on("end", () => this.#end("end"));
    source.on("error", () => this.#end("reset"));
    source.on("close", () => this.#end("reset"));
    sink.on("drain", () => this.flush());
    sink.on("close", () => clearTimeout(this.#timer));
  }

  #take(chunk: Buffer): void {
    this.#held.push({ chunk, dueMs: performance.now() + this.#weather().delayMs });
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > heldBytesMax) this.#source.pause();
    this.flush();
  }

  #end(how: "end" | "reset"): void {
    // A clean end is followed by a close that says nothing new.
    this.#ended ??= how;
    this.flush();
  }

  /** Lets through whatever may go now. */
  flush(): void {
    clearTimeout(this.#timer);
    if (this.#weather().blocked || this.#sink.destroyed) return;
    const nowMs = performance.now();
    while (this.#sink.writableLength < heldBytesMax) {
      const next = this.#held[0];
      if (next === undefined) break;
      if (next.dueMs > nowMs) {
        this.#timer = setTimeout(() => this.flush(), next.dueMs - nowMs);
        break;
      }
      this.#held.shift();
      this.#heldBytes -= next.chunk.length;
      this.#sink.write(next.chunk);
    }
    if (this.#heldBytes <= heldBytesMax && this.#source.isPaused()) this.#source.resume();
    if (this.#held.length > 0 || this.#ended === undefined) return;
    if (this.#ended === "end") this.#sink.end();
    else this.#sink.destroy();
  }
}
