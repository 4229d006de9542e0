/** One endpoint: its connections, what was learned about who answers there, and how it is left when it is removed. */
import type { Connection, ConnectionEvent } from "./transport.js";

/** Watches have a connection of their own, so that big reads cannot starve them. */
export type Channel = "calls" | "streams";

/** Something long-lived on an endpoint that can go on elsewhere. */
export interface Movable {
  /** Goes up with everything its reader takes. */
  readonly reads: number;
  /** Ends it here; whoever reads it resumes on another endpoint. */
  cancel(): void;
}

export interface Failure {
  readonly atMs: number;
  readonly cause: Error;
}

/** How many members an endpoint may show before the oldest is forgotten. */
const membersMax = 16;
/** A stream of a removed endpoint is moved when nothing was read for so long, or at the latest after so long. */
const quietMs = 100;
const drainMsMax = 5_000;

export class Endpoint {
  readonly name: string;
  /** The member that answered on this endpoint's own connection last; undefined for one that several share. */
  memberId: bigint | undefined;
  /** True if several members answer here in turn, as behind a proxy: then nothing is known of the next answer. */
  shared = false;
  /** The cluster that answered last. */
  clusterId: bigint | undefined;
  /** True while the cluster behind the connection at hand is known. */
  verified = false;
  /** True if the member said that it is a learner. */
  learner = false;
  /** The usual time of a small question and its answer; undefined until one was timed. */
  rttMs: number | undefined;
  /** Why the last attempt failed, until one succeeds. */
  failure: Failure | undefined;
  /** Counts answers, so that silence can be told from slowness. */
  answers = 0;
  private readonly connections = new Map<Channel, Connection>();
  private readonly busy = { calls: 0, streams: 0 };
  private readonly movable = new Set<Movable>();
  private readonly members = new Set<bigint>();
  private readonly connect: (onConnection: (event: ConnectionEvent) => void) => Connection;
  private readonly onConnection: (endpoint: Endpoint, event: ConnectionEvent) => void;
  private onGone: (() => void) | undefined;
  private closed = false;

  constructor(name: string, connect: Endpoint["connect"], onConnection: Endpoint["onConnection"]) {
    this.name = name;
    this.connect = connect;
    this.onConnection = onConnection;
  }

  connection(channel: Channel): Connection {
    const open = this.connections.get(channel);
    if (open !== undefined) return open;
    const made = this.connect((event) => {
      if (event.type !== "connected") this.verified = false;
      this.onConnection(this, event);
    });
    // A call that was on its way here when the client was closed finds a connection that is, too.
    if (this.closed) made.close();
    else this.connections.set(channel, made);
    return made;
  }

  /** Who answered. An id that comes back after another one has answered means that members take turns here. */
  identify(memberId: bigint): void {
    if (memberId === this.memberId || memberId === 0n || this.shared) return;
    if (this.members.has(memberId)) {
      this.shared = true;
      this.memberId = undefined;
      return;
    }
    if (this.members.size === membersMax)
      for (const oldest of [...this.members].slice(0, 1)) this.members.delete(oldest);
    this.members.add(memberId);
    this.memberId = memberId;
  }

  /** Whoever answered belongs to another cluster. */
  forgetMembers(): void {
    this.memberId = undefined;
    this.members.clear();
  }

  /** A call or a stream begins; `end` follows. */
  begin(channel: Channel): void {
    this.busy[channel]++;
  }

  end(channel: Channel): void {
    this.busy[channel]--;
    if (this.onGone !== undefined) this.leave(channel);
  }

  /** A stream that `retire` may move. Returns what takes it off again. */
  carry(stream: Movable): () => void {
    this.begin("streams");
    this.movable.add(stream);
    if (this.onGone !== undefined) moveSoon(stream);
    return () => {
      if (this.movable.delete(stream)) this.end("streams");
    };
  }

  /**
   * Takes no more calls. Those under way finish; streams move at their next quiet moment. Calls back when the last
   * connection is closed.
   */
  retire(onGone: () => void): void {
    this.onGone = onGone;
    for (const [channel, connection] of this.connections) {
      if (connection.isReady()) this.leave(channel);
      else this.drop(channel, connection);
    }
    for (const stream of this.movable) moveSoon(stream);
    this.checkGone();
  }

  close(): void {
    this.closed = true;
    for (const connection of this.connections.values()) connection.close();
    this.connections.clear();
  }

  private leave(channel: Channel): void {
    const connection = this.connections.get(channel);
    if (connection !== undefined && this.busy[channel] === 0) this.drop(channel, connection);
    this.checkGone();
  }

  private drop(channel: Channel, connection: Connection): void {
    connection.close();
    this.connections.delete(channel);
  }

  private checkGone(): void {
    if (this.connections.size === 0) this.onGone?.();
  }
}

/** Cancels the stream when its reader has taken nothing for a moment, or when it has been given long enough. */
function moveSoon(stream: Movable): void {
  let { reads } = stream;
  let waitedMs = 0;
  const timer = setInterval(() => {
    waitedMs += quietMs;
    if (stream.reads !== reads && waitedMs < drainMsMax) {
      ({ reads } = stream);
      return;
    }
    clearInterval(timer);
    stream.cancel();
  }, quietMs);
  timer.unref();
}
