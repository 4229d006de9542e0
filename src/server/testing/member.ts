/** One member of a test server: started, stopped and started again in this process, on addresses that stay. */
import type { ServerConfig } from "../config/config.js";
import type { Logger } from "../runtime/logger.js";
import { type RunningServer, startServerWith } from "../server.js";
import type { TcpProxy } from "./tcp-proxy.js";
import type { TestMember } from "./types.js";

export interface LocalMemberOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  /** In front of the member, if faults are asked for. */
  readonly proxy: TcpProxy | undefined;
}

export class LocalMember implements TestMember {
  private readonly options: LocalMemberOptions;
  private config: ServerConfig;
  private server: RunningServer | undefined;
  private url = "";

  constructor(options: LocalMemberOptions) {
    this.options = options;
    this.config = options.config;
  }

  get name(): string {
    return this.config.name;
  }

  get dataDir(): string {
    return this.config.dataDir;
  }

  get running(): boolean {
    return this.server !== undefined;
  }

  get endpoint(): string {
    return new URL(this.endpointUrl).host;
  }

  /** Where clients find it: the proxy, if there is one. */
  get endpointUrl(): string {
    const { proxy } = this.options;
    if (proxy === undefined) return this.url;
    const { protocol } = new URL(this.url);
    return proxy.endpoint.replace("http:", protocol);
  }

  /** Resolves when it serves, which takes a quorum. */
  async start(): Promise<void> {
    if (this.server !== undefined) return;
    const { logger, proxy } = this.options;
    // Data is not forced to disk, so the log needs no thread: a test has no power cut to survive.
    this.server = await startServerWith({ config: this.config, logger, onFatal: rethrow }, "inline");
    [this.url = ""] = this.server.clientUrls;
    // The port that was chosen stays the member's own.
    this.config = { ...this.config, listenClientUrls: [this.url] };
    if (proxy === undefined) this.config = { ...this.config, advertiseClientUrls: [this.url] };
    proxy?.forwardTo(this.url);
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    await server?.close();
  }
}

function rethrow(error: unknown): never {
  throw error;
}
