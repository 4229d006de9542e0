/** The breakable network of the chaos run: who dialled, what a block holds back, and what a reset ends. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { clients, Links } from "../support/links.js";

/** A server that says everything back, and a way to it through links on which this process is called "me". */
class Echo {
  readonly links = new Links(() => new Map([[process.pid, "me"]]));
  readonly server: Server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  readonly #sockets: Socket[] = [];

  async listen(): Promise<string> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async dial(address: string): Promise<Heard> {
    const { hostname, port } = new URL(address.includes("://") ? address : `http://${address}`);
    const socket = connect(Number(port), hostname);
    this.#sockets.push(socket);
    const heard = new Heard(socket);
    await once(socket, "connect");
    return heard;
  }

  async dispose(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.links.dispose();
    this.server.close();
  }
}

/** What one end has heard so far. */
class Heard {
  text = "";
  closed = false;
  readonly socket: Socket;
  /** Resolves when the connection is over, however it ended. */
  readonly over: Promise<void>;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    this.over = new Promise((resolve) => {
      socket.on("close", () => {
        this.closed = true;
        resolve();
      });
    });
    socket.on("data", (chunk: Buffer) => {
      this.text += chunk.toString();
    });
  }

  async hears(text: string): Promise<void> {
    while (this.text !== text) await once(this.socket, "data");
  }
}

describe.skipIf(!existsSync("/proc/net/tcp"))("links between members", () => {
  let echo: Echo;
  let target: string;
  beforeEach(async () => {
    echo = new Echo();
    target = await echo.listen();
  });
  afterEach(() => echo.dispose());

  it("knows who dialled and blocks one direction only, losing nothing", async () => {
    const end = await echo.dial(await echo.links.inFrontOfPeers(target, "m1"));
    end.socket.write("a");
    await end.hears("a");
    echo.links.set("m1", "me", { blocked: true });
    const told = once(echo.server, "connection");
    const other = await echo.dial(await echo.links.inFrontOfPeers(target, "m1"));
    const [heardThere] = (await told) as [Socket];
    other.socket.write("b");
    // It gets there, and only the way back is blocked.
    await once(heardThere, "data");
    expect(other.text).toBe("");
    echo.links.heal();
    await other.hears("b");
  });

  it("leaves other pairs alone", async () => {
    echo.links.setBoth("m1", "m2", { blocked: true });
    echo.links.setBoth(clients, "m1", { blocked: true });
    const end = await echo.dial(await echo.links.inFrontOfPeers(target, "m1"));
    end.socket.write("a");
    await end.hears("a");
  });

  it("delays", async () => {
    const end = await echo.dial(await echo.links.inFrontOfClients(target.replace("http://", ""), "m1"));
    echo.links.setBoth(clients, "m1", { delayMs: 60 });
    const startedMs = performance.now();
    end.socket.write("a");
    await end.hears("a");
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(118);
  });

  it("holds back the news that a connection has ended", async () => {
    const told = once(echo.server, "connection");
    const end = await echo.dial(await echo.links.inFrontOfPeers(target, "m1"));
    const [there] = (await told) as [Socket];
    echo.links.setBoth("m1", "me", { blocked: true });
    there.destroy();
    end.socket.write("a");
    await once(there, "close");
    expect(end.closed).toBe(false);
    echo.links.heal();
    await end.over;
  });

  it("resets the connections of a pair", async () => {
    const end = await echo.dial(await echo.links.inFrontOfPeers(target, "m1"));
    end.socket.write("a");
    await end.hears("a");
    echo.links.reset("m1", "somebody else");
    expect(end.closed).toBe(false);
    echo.links.reset("me", "m1");
    await end.over;
  });

  it("lets nobody through whom it does not know", async () => {
    const strict = new Links(() => new Map());
    const end = await echo.dial(await strict.inFrontOfPeers(target, "m1"));
    await end.over;
    await strict.dispose();
  });
});
