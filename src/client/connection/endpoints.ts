/** The endpoints of a client: their connections, what was learned about each, and which to try next. */
import type { Settings, Target } from "../options.js";
import { endpointList } from "../options.js";
import type { Connection, Transport } from "./transport.js";

/** Watches have a connection of their own, so that big reads cannot starve them. */
export type Channel = "calls" | "streams";

/** An endpoint that failed is tried last for this long. */
const coolDownMs = 5_000;

export class Endpoint {
  readonly name: string;
  /** The member that answered on this endpoint's own connection last. */
  memberId: bigint | undefined;
  /** Why the last attempt failed, until one succeeds. */
  failure: { readonly atMs: number; readonly message: string } | undefined;
  private readonly connections = new Map<Channel, Connection>();
  private readonly connect: () => Connection;

  constructor(name: string, connect: () => Connection) {
    this.name = name;
    this.connect = connect;
  }

  connection(channel: Channel): Connection {
    const open = this.connections.get(channel);
    if (open !== undefined) return open;
    const made = this.connect();
    this.connections.set(channel, made);
    return made;
  }

  close(): void {
    for (const connection of this.connections.values()) connection.close();
    this.connections.clear();
  }
}

/** What a pick looks for. `leader` is the member writes should go to, if one is known and wanted. */
export interface Preference {
  readonly target: Target;
  readonly leader: bigint | undefined;
  /** Endpoints this call has already seen fail, to be tried last. */
  readonly avoid: ReadonlySet<Endpoint>;
}

/** Owns the endpoints and closes their connections. */
export class Endpoints {
  private readonly settings: Settings;
  private readonly transport: Transport;
  private list: Endpoint[];
  /** Endpoints named by `target` that are not in the list. */
  private readonly others = new Map<string, Endpoint>();
  private turn = 0;

  constructor(settings: Settings, transport: Transport) {
    this.settings = settings;
    this.transport = transport;
    this.list = settings.endpoints.map((name) => this.make(name));
  }

  names(): readonly string[] {
    return this.list.map((endpoint) => endpoint.name);
  }

  all(): readonly Endpoint[] {
    return this.list;
  }

  /** Endpoints that stay keep their connections; calls on those that go end as with a broken connection. */
  replace(names: string | readonly string[]): void {
    const old = new Map(this.list.map((endpoint) => [endpoint.name, endpoint]));
    this.list = endpointList(names).map((name) => {
      const kept = old.get(name);
      old.delete(name);
      return kept ?? this.make(name);
    });
    for (const gone of old.values()) gone.close();
  }

  /** The endpoint to try next. */
  pick({ target, leader, avoid }: Preference): Endpoint {
    if (typeof target === "object" && "endpoint" in target) return this.named(target.endpoint);
    const wanted = typeof target === "object" ? target.memberId : leader;
    const fresh = this.ordered().filter((endpoint) => !avoid.has(endpoint));
    const candidates = fresh.length > 0 ? fresh : this.ordered();
    const match = wanted === undefined ? undefined : candidates.find((endpoint) => endpoint.memberId === wanted);
    const [first] = candidates;
    if (first === undefined) throw new TypeError("a client needs at least one endpoint");
    return match ?? first;
  }

  close(): void {
    for (const endpoint of [...this.list, ...this.others.values()]) endpoint.close();
  }

  private named(name: string): Endpoint {
    const known = this.list.find((endpoint) => endpoint.name === name) ?? this.others.get(name);
    if (known !== undefined) return known;
    const made = this.make(name);
    this.others.set(name, made);
    return made;
  }

  /** Working endpoints before those that failed lately; in turn, unless the routing is pinned to the first. */
  private ordered(): Endpoint[] {
    const start = this.settings.routing === "pinned" ? 0 : this.turn++ % this.list.length;
    const rotated = [...this.list.slice(start), ...this.list.slice(0, start)];
    const horizon = this.settings.clock.now() - coolDownMs;
    const failed = (endpoint: Endpoint): boolean => endpoint.failure !== undefined && endpoint.failure.atMs > horizon;
    return [...rotated.filter((endpoint) => !failed(endpoint)), ...rotated.filter(failed)];
  }

  private make(name: string): Endpoint {
    return new Endpoint(name, () => this.transport.connect(name, this.settings));
  }
}
