/**
 * A server for a test: one member in this process, on a free port, in a temporary directory that goes away with it.
 * Many of them live beside each other.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerConfig } from "../config/config.js";
import { defaultConfig } from "../config/parse-config.js";
import { type Logger, silentLogger } from "../runtime/logger.js";
import { type RunningServer, startServerWith } from "../server.js";

export interface TestServerOptions {
  /** Settings that differ from a plain single member; addresses and the data directory are chosen if not given. */
  readonly config?: Partial<ServerConfig>;
  readonly logger?: Logger;
}

export interface TestServer extends AsyncDisposable {
  /** `host:port` for gRPC and HTTP. */
  readonly endpoint: string;
  /** The same as URLs. */
  readonly endpoints: readonly string[];
  readonly dataDir: string;
  /** Ends the server and removes its directory. */
  close(): Promise<void>;
}

/** Starts a member and resolves when it serves. Data is not forced to disk: a test has no power cut to survive. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const ownDir = options.config?.dataDir === undefined;
  const dataDir = options.config?.dataDir ?? (await mkdtemp(join(tmpdir(), "litecd-test-")));
  try {
    const config = { ...testConfig(dataDir), ...options.config };
    const server = await startServerWith(
      { config, logger: options.logger ?? silentLogger, onFatal: rethrow },
      "inline",
    );
    return testServer(server, { dataDir, ownDir });
  } catch (error) {
    if (ownDir) await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

function rethrow(error: unknown): never {
  throw error;
}

function testConfig(dataDir: string): ServerConfig {
  return {
    ...defaultConfig(),
    dataDir,
    unsafeNoFsync: true,
    listenPeerUrls: ["http://127.0.0.1:0"],
    listenClientUrls: ["http://127.0.0.1:0"],
    advertiseClientUrls: ["http://127.0.0.1:0"],
  };
}

function testServer(server: RunningServer, dir: { readonly dataDir: string; readonly ownDir: boolean }): TestServer {
  const [url = ""] = server.clientUrls;
  const close = async (): Promise<void> => {
    await server.close();
    if (dir.ownDir) await rm(dir.dataDir, { recursive: true, force: true });
  };
  return {
    endpoint: new URL(url).host,
    endpoints: server.clientUrls,
    dataDir: dir.dataDir,
    close,
    [Symbol.asyncDispose]: close,
  };
}
