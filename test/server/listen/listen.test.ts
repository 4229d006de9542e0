/** One port, two protocols: who gets which connection, on TCP and on sockets in the file system. */
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttp1, get } from "node:http";
import { connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listenOptionsOf } from "../../../src/server/listen/address.js";
import { protocolOf } from "../../../src/server/listen/first-bytes.js";
import {
  clientRequests,
  type Listeners,
  type ListenRequest,
  openListeners,
} from "../../../src/server/listen/listen.js";

let directory: string;
const opened: Listeners[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "litecd-listen-"));
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((listeners) => listeners.close(0)));
  rmSync(directory, { recursive: true, force: true });
});

async function open(requests: readonly ListenRequest[], firstBytesTimeoutMs = 60_000): Promise<Listeners> {
  const listeners = await openListeners(requests, { firstBytesTimeoutMs });
  opened.push(listeners);
  return listeners;
}

function portOf(listeners: Listeners, at = 0): number {
  return Number(/:(\d+)$/.exec(listeners.urls[at] ?? "")?.[1]);
}

const http1Server = createHttp1((_request, response) => void response.end("one"));
const http2Server = createHttp2((_request, response) => void response.end("two"));
const http1 = (socket: Socket): void => void http1Server.emit("connection", socket);
const http2 = (socket: Socket): void => void http2Server.emit("connection", socket);

function ask1(where: object): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ ...where, agent: false }, (response) => {
      response.setEncoding("utf8").once("data", resolve);
    }).once("error", reject);
  });
}

function ask2(where: { port?: number; path?: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2("http://localhost", {
      createConnection: () => connect({ host: "127.0.0.1", ...where } as never),
    });
    session.once("error", reject);
    const stream = session.request({ ":path": "/" });
    stream.once("error", reject);
    stream.setEncoding("utf8").once("data", (text: string) => {
      session.close();
      resolve(text);
    });
  });
}

describe("a port", () => {
  it("serves HTTP/1 and HTTP/2 side by side", async () => {
    const port = portOf(await open([{ url: "http://127.0.0.1:0", http1, http2 }]));
    expect(await Promise.all([ask1({ port }), ask2({ port }), ask1({ port }), ask2({ port })])).toEqual([
      "one",
      "two",
      "one",
      "two",
    ]);
  });

  it("reports the port that was chosen, also for localhost", async () => {
    const listeners = await open([
      { url: "http://localhost:0", http1 },
      { url: "http://127.0.0.1:0", http1 },
    ]);
    expect(listeners.urls[0]).toMatch(/^http:\/\/localhost:[1-9]\d*$/);
    expect(await ask1({ host: "127.0.0.1", port: portOf(listeners) })).toBe("one");
    expect(await ask1({ port: portOf(listeners, 1) })).toBe("one");
  });

  it("serves both protocols on a socket in the file system", async () => {
    const path = join(directory, "a.sock");
    const listeners = await open([{ url: `unix://${path}`, http1, http2 }]);
    expect(listeners.urls).toEqual([`unix://${path}`]);
    expect(await ask1({ socketPath: path })).toBe("one");
    expect(await ask2({ path })).toBe("two");
  });

  it("removes a stale socket file first, and its own at the end", async () => {
    const path = join(directory, "b.sock");
    writeFileSync(path, "left behind");
    const listeners = await open([{ url: `unix://${path}`, http1 }]);
    expect(await ask1({ socketPath: path })).toBe("one");
    await listeners.close(0);
    expect(existsSync(path)).toBe(false);
  });

  it("understands a preface that arrives byte by byte", async () => {
    let taken = 0;
    const counting = (socket: Socket): void => {
      taken += 1;
      http2(socket);
    };
    const port = portOf(await open([{ url: "http://127.0.0.1:0", http2: counting }]));
    const socket = connect({ port, noDelay: true });
    await once(socket, "connect");
    for (const byte of Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0", "latin1")) {
      await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
    }
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer[3]).toBe(4); // the type of the server's first frame: SETTINGS
    expect(taken).toBe(1);
    socket.destroy();
  });

  it("resets a connection whose protocol is not served there", async () => {
    const listeners = await open([
      { url: "http://127.0.0.1:0", http2 },
      { url: "http://127.0.0.1:0", http1 },
    ]);
    await expect(ask1({ port: portOf(listeners) })).rejects.toThrow(/ECONNRESET|socket hang up/);
    await expect(ask2({ port: portOf(listeners, 1) })).rejects.toThrow();
  });

  it("cuts a connection that stays silent too long", async () => {
    const port = portOf(await open([{ url: "http://127.0.0.1:0", http1 }], 30));
    const socket = connect({ port }).resume();
    await once(socket, "close");
  });

  it("lets go of a connection that ends before it says anything", async () => {
    const listeners = await open([{ url: "http://127.0.0.1:0", http1 }]);
    const socket = connect({ port: portOf(listeners) }).resume();
    await once(socket, "connect");
    socket.end("PR");
    await once(socket, "close");
    await listeners.close(60_000);
  });
});

describe("opening", () => {
  it("opens all or none", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => void taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    const path = join(directory, "c.sock");
    const requests = [
      { url: `unix://${path}`, http1 },
      { url: `http://127.0.0.1:${port}`, http1 },
    ];
    await expect(openListeners(requests)).rejects.toThrow("EADDRINUSE");
    expect(existsSync(path)).toBe(false);
    taken.close();
  });

  it.each([
    ["https://127.0.0.1:0", "no certificate and key are given"],
    ["unixs:///a", "no certificate and key are given"],
    ["ftp://127.0.0.1:0", "its scheme is none of"],
    ["http://127.0.0.1", "it is not scheme://host:port"],
  ])("refuses %s", async (url, complaint) => {
    await expect(openListeners([{ url, http1 }])).rejects.toThrow(complaint);
  });

  it("reads hosts and ports", () => {
    expect(listenOptionsOf("http://[::1]:5")).toEqual({ host: "::1", port: 5 });
    expect(listenOptionsOf("http://localhost:5")).toEqual({ host: "127.0.0.1", port: 5 });
    expect(listenOptionsOf("unix:///run/x")).toEqual({ path: "/run/x" });
  });
});

describe("closing", () => {
  it("accepts no more, cuts undecided connections at once and others after the bound", async () => {
    let served: Socket | undefined;
    const listeners = await open([{ url: "http://127.0.0.1:0", http1: (socket) => void (served = socket.resume()) }]);
    const port = portOf(listeners);
    const silent = connect({ port }).resume();
    const busy = connect({ port }).resume();
    busy.write("GET / HTTP/1.1\r\n");
    await Promise.all([once(silent, "connect"), expect.poll(() => served).toBeDefined()]);
    const closed = listeners.close(50);
    await Promise.all([once(silent, "close"), once(busy, "close"), closed]);
    await expect(ask1({ port })).rejects.toThrow("ECONNREFUSED");
  });

  it("does not wait for the bound when the connections go by themselves", async () => {
    let served: Socket | undefined;
    const listeners = await open([{ url: "http://127.0.0.1:0", http1: (socket) => void (served = socket.resume()) }]);
    const client = connect({ port: portOf(listeners) }).resume();
    client.write("GET / HTTP/1.1\r\n");
    await expect.poll(() => served).toBeDefined();
    const closed = listeners.close(600_000);
    served?.end();
    await closed;
  });
});

describe("the first bytes", () => {
  it.each([
    ["", undefined],
    ["PRI", undefined],
    ["PRI * HTTP/2.0\r", undefined],
    ["PRI * HTTP/2.0\r\n", "http2"],
    ["PRI * HTTP/2.0\r\n\r\nSM", "http2"],
    ["P", undefined],
    ["POST / HTTP/1.1", "http1"],
    ["PRI * HTTP/1.1\r\n", "http1"],
    ["\u0016", "tls"],
    ["\u0016\u0003\u0001", "tls"],
  ])("%j decide for %s", (text, protocol) => {
    expect(protocolOf(Buffer.from(text, "latin1"))).toBe(protocol);
  });
});

describe("the plan of a client-facing server", () => {
  const plan = { clientUrls: ["c"], clientHttpUrls: [], metricsUrls: ["m"], grpc: http2, http: http1, metrics: http1 };

  it("shares the client URLs between gRPC and HTTP", () => {
    expect(clientRequests(plan)).toEqual([
      { url: "c", http1, http2 },
      { url: "m", http1 },
    ]);
  });

  it("takes HTTP off the client URLs once it has its own", () => {
    expect(clientRequests({ ...plan, clientHttpUrls: ["h"] })).toEqual([
      { url: "c", http2 },
      { url: "h", http1 },
      { url: "m", http1 },
    ]);
  });
});

describe("connections that are held", () => {
  it("wait until they are served, and speak whatever they began with", async () => {
    const listeners = await openListeners([{ url: "http://127.0.0.1:0", http1, http2, hold: true }]);
    opened.push(listeners);
    const port = portOf(listeners);
    const answers: string[] = [];
    const early = [ask1({ port }), ask2({ port })].map(async (answer) => answers.push(await answer));
    const sockets = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    sockets[0]?.resetAndDestroy(); // goes away while it waits
    expect(answers).toEqual([]);
    listeners.serve();
    await Promise.all(early);
    expect(answers.toSorted()).toEqual(["one", "two"]);
    expect(await ask1({ port })).toBe("one");
    sockets[1]?.destroy();
  });

  it("are those of ports that hold; others serve at once", async () => {
    const listeners = await open([
      { url: "http://127.0.0.1:0", http1, hold: true },
      { url: "http://127.0.0.1:0", http1 },
    ]);
    expect(await ask1({ port: portOf(listeners, 1) })).toBe("one");
    listeners.serve();
    expect(await ask1({ port: portOf(listeners, 0) })).toBe("one");
    expect(await ask1({ port: portOf(listeners, 1) })).toBe("one");
  });

  it("are cut by closing", async () => {
    const listeners = await openListeners([{ url: "http://127.0.0.1:0", http1, hold: true }]);
    const socket = connect(portOf(listeners), "127.0.0.1");
    socket.on("error", () => undefined);
    await once(socket, "connect");
    const closed = new Promise((resolve) => socket.resume().once("close", resolve));
    await listeners.close(60_000);
    await closed;
  });
});
