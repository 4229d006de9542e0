/**
 * Lets grpc-js dial `etcd:///service`: a channel's addresses are the endpoints that are registered, and follow them.
 * grpc-js' registry of name resolvers is experimental, and each copy of grpc-js has its own; this is that of the copy
 * this package uses.
 */
import { experimental, Metadata, status } from "@grpc/grpc-js";
import type { Kv } from "../index.js";
import { endpoints } from "./endpoints.js";

type ResolverClass = Parameters<typeof experimental.registerResolver>[1];
type Listener = experimental.ResolverListener;

/**
 * From now on `etcd:///service` names a service for every gRPC client of this process. Registering again replaces the
 * client, for channels that are made later. The first endpoint that answers gets all calls unless the channel has another
 * policy: `"grpc.service_config": '{"loadBalancingConfig":[{"round_robin":{}}]}'` spreads them. Addresses are
 * `host:port` or `unix:path`.
 */
export function registerEtcdResolver(client: Pick<Kv, "follow">, options: { readonly scheme?: string } = {}): void {
  const resolver: ResolverClass = class {
    private readonly resolution: Resolution;

    constructor(target: experimental.GrpcUri, listener: Listener) {
      this.resolution = new Resolution(client, target.path, listener);
    }

    updateResolution(): void {
      this.resolution.begin();
    }

    destroy(): void {
      this.resolution.end();
    }

    static getDefaultAuthority({ path }: experimental.GrpcUri): string {
      return path;
    }
  };
  experimental.registerResolver(options.scheme ?? "etcd", resolver);
}

/** Follows one service for one channel. */
class Resolution {
  private readonly client: Pick<Kv, "follow">;
  private readonly service: string;
  private readonly listener: Listener;
  private following: AbortController | undefined;

  constructor(client: Pick<Kv, "follow">, service: string, listener: Listener) {
    this.client = client;
    this.service = service;
    this.listener = listener;
  }

  /** gRPC asks for this again and again; what is followed already needs no asking. */
  begin(): void {
    if (this.following !== undefined) return;
    this.following = new AbortController();
    void this.follow(this.following);
  }

  end(): void {
    this.following?.abort();
    this.following = undefined;
  }

  /** Until ended. A failure is the channel's news; it asks again after a while. Never rejects. */
  private async follow(following: AbortController): Promise<void> {
    const { signal } = following;
    let failure: unknown = new Error("the client is closed");
    try {
      for await (const found of endpoints(this.client, this.service, { signal })) {
        if (signal.aborted) return;
        const addresses = found.map(({ addr }) => ({ addresses: [subchannel(addr)] }));
        const taken = this.listener(experimental.statusOrFromValue(addresses), {}, null, "");
        // Some policies let calls wait for ever when they are given no address, unless there is an error to tell.
        if (!taken && addresses.length === 0) this.fail(`${this.service} has no endpoint`);
      }
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    this.following = undefined;
    this.fail(`the endpoints of ${this.service} cannot be followed: ${String(failure)}`);
  }

  private fail(details: string): void {
    const error = { code: status.UNAVAILABLE, details, metadata: new Metadata() };
    this.listener(experimental.statusOrFromError(error), {}, null, "");
  }
}

/** gRPC's default port stands in for one that is missing, as in its own resolvers. */
function subchannel(addr: string): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (addr.startsWith("unix:")) return { path: addr.slice("unix:".length) };
  const { host, port = 443 } = experimental.splitHostPort(addr) ?? { host: addr };
  return { host, port };
}
