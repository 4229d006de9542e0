/** Ports with TLS: ALPN, clear and encrypted side by side, and those who speak the wrong one. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttp1, get as getClear } from "node:http";
import { connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import { get } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Listeners, type ListenRequest, openListeners } from "../../../src/server/listen/listen.js";
import type { Caller, Secure } from "../../../src/server/listen/port.js";
import { TlsAcceptor } from "../../../src/server/tls/acceptor.js";
import { Complaints } from "../../../src/server/tls/complaints.js";
import { Authority } from "../../support/certificates.js";
import { freePort } from "../../support/free-ports.js";
import { logTo, mutualTls, opened } from "../tls/material.js";

let ours: Authority;
let client: { readonly cert: string; readonly key: string; readonly ca: string };
let secure: Secure;
let directory: string;
const lines: string[] = [];
const mismatches: string[] = [];
const callers: Caller[] = [];
const listening: Listeners[] = [];

beforeAll(async () => {
  ours = await Authority.create("ours");
  directory = mkdtempSync(join(tmpdir(), "litecd-listen-tls-"));
  client = { ...(await ours.issue({ commonName: "alice" })), ca: ours.ca };
  const { admission } = await opened(await mutualTls({ signedBy: ours }));
  if (admission === undefined) throw new Error("there is a certificate");
  const complaints = new Complaints(logTo(lines));
  secure = (protocols, onSecured) => {
    const acceptor = new TlsAcceptor({ admission, protocols, endpoint: "client", complaints, onSecured });
    return (socket) => acceptor.accept(socket);
  };
});

afterAll(() => {
  ours.remove();
  rmSync(directory, { recursive: true, force: true });
});

afterEach(async () => {
  await Promise.all(listening.splice(0).map((listeners) => listeners.close(0)));
  for (const list of [lines, mismatches, callers]) list.length = 0;
});

function onMismatch(remote: string, reason: string): void {
  mismatches.push(`${remote} ${reason}`);
}

async function open(requests: readonly ListenRequest[], firstBytesTimeoutMs = 60_000): Promise<Listeners> {
  const handshakeTimeoutMs = Math.min(firstBytesTimeoutMs, 10_000);
  const listeners = await openListeners(requests, { secure, onMismatch, firstBytesTimeoutMs, handshakeTimeoutMs });
  listening.push(listeners);
  return listeners;
}

function portOf({ urls }: Listeners, at = 0): number {
  return Number(/:(\d+)$/.exec(urls[at] ?? "")?.[1]);
}

const http1Server = createHttp1((_request, response) => void response.end("one"));
const http2Server = createHttp2((_request, response) => void response.end("two"));
const http1 = (socket: Socket, caller: Caller): void => {
  callers.push(caller);
  http1Server.emit("connection", socket);
};
const http2 = (socket: Socket, caller: Caller): void => {
  callers.push(caller);
  http2Server.emit("connection", socket);
};
const url = "https://127.0.0.1:0";

function ask1(port: number, options: ConnectionOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const where = { host: "127.0.0.1", port, ...client, ...options, agent: false };
    get(where, (response) => response.setEncoding("utf8").once("data", resolve)).once("error", reject);
  });
}

function ask2(make: () => Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2("https://localhost", { createConnection: make });
    session.once("error", reject);
    const stream = session.request({ ":path": "/" });
    stream.once("error", reject);
    stream.setEncoding("utf8").once("data", (text: string) => {
      session.close();
      resolve(text);
    });
  });
}

function secured(port: number, ALPNProtocols: readonly string[] = ["h2"]): Socket {
  return connect({ host: "127.0.0.1", port, ...client, ALPNProtocols: [...ALPNProtocols] });
}

/** However it ends. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.resume().once("close", () => resolve()));
}

describe("a port with TLS", () => {
  it("serves gRPC to those who ask for h2, and HTTP/1 to all others, and says who they are", async () => {
    const port = portOf(await open([{ url, http1, http2 }]));
    expect(await ask2(() => secured(port))).toBe("two");
    expect(await ask2(() => secured(port, ["http/1.1", "h2"]))).toBe("two");
    expect(await ask1(port)).toBe("one");
    expect(await ask1(port, { ALPNProtocols: ["http/1.1"] })).toBe("one");
    expect(await ask1(port, { maxVersion: "TLSv1.2" })).toBe("one");
    expect(callers).toEqual(Array.from({ length: 5 }, () => ({ certificateName: "alice" })));
  });

  it("serves a socket in the file system", async () => {
    const path = join(directory, "s.sock");
    await open([{ url: `unixs://${path}`, http1, http2 }]);
    const over = (ALPNProtocols: string[]) =>
      connect({ socket: connectTcp({ path }), host: "localhost", servername: "localhost", ...client, ALPNProtocols });
    expect(await ask2(() => over(["h2"]))).toBe("two");
    expect(callers).toEqual([{ certificateName: "alice" }]);
  });

  it("serves what it has: a caller that wants something else is told so", async () => {
    const listeners = await open([
      { url, http1 },
      { url, http2 },
    ]);
    expect(await ask1(portOf(listeners))).toBe("one");
    expect(await ask2(() => secured(portOf(listeners, 1)))).toBe("two");
    await expect(ask2(() => secured(portOf(listeners)))).rejects.toThrow(/no application protocol/i);
    await expect(ask1(portOf(listeners, 1), { ALPNProtocols: ["http/1.1"] })).rejects.toThrow(
      /no application protocol/i,
    );
    await expect(ask1(portOf(listeners, 1))).rejects.toThrow();
  });

  it("cuts those who agreed on h2 and speak something else, or nothing", async () => {
    const port = portOf(await open([{ url, http1, http2 }], 400));
    const liar = secured(port);
    liar.on("error", () => undefined);
    liar.write("GET / HTTP/1.1\r\n\r\n");
    const mute = secured(port);
    mute.on("error", () => undefined);
    await Promise.all([liar, mute].map(closed));
    expect(callers).toEqual([]);
  });
});

describe("clear and encrypted on one place", () => {
  it("are told apart by their first byte", async () => {
    const port = await freePort();
    const listeners = await open([
      { url: `http://127.0.0.1:${port}`, http1, http2 },
      { url: `https://127.0.0.1:${port}`, http1, http2 },
    ]);
    expect(listeners.urls).toEqual([`http://127.0.0.1:${port}`, `https://127.0.0.1:${port}`]);
    expect(await ask1(port)).toBe("one");
    expect(await ask2(() => secured(port))).toBe("two");
    expect(await ask2(() => connectTcp(port, "127.0.0.1"))).toBe("two");
    const clear = new Promise<string>((resolve) => {
      getClear({ host: "127.0.0.1", port, agent: false }, (response) =>
        response.setEncoding("utf8").once("data", resolve),
      );
    });
    expect(await clear).toBe("one");
    expect(callers.map(({ certificateName }) => certificateName)).toEqual(["alice", "alice", undefined, undefined]);
    expect(mismatches).toEqual([]);
  });
});

describe("who speaks the wrong one", () => {
  it("is told in HTTP that TLS is spoken, or is cut", async () => {
    const port = portOf(await open([{ url, http1, http2 }]));
    const socket = connectTcp(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await closed(socket);
    expect(answer).toMatch(/^HTTP\/1\.0 400 Bad Request\r\n[^]*\r\n\r\nThis port speaks TLS: use https\.\n$/);
    await expect(ask2(() => connectTcp(port, "127.0.0.1"))).rejects.toThrow(/ECONNRESET|closed|canceled|hang up/);
    expect(mismatches.map((line) => line.replace(/:\d+/, ""))).toEqual([
      "127.0.0.1 it speaks in clear, and this port speaks TLS",
      "127.0.0.1 it speaks in clear, and this port speaks TLS",
    ]);
  });

  it("cannot keep the connection by sending on", async () => {
    const port = portOf(await open([{ url, http1, http2 }], 300));
    const socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => undefined).resume();
    socket.write("POST / HTTP/1.1\r\n\r\n");
    const sending = setInterval(() => socket.write("more"), 20);
    await closed(socket);
    clearInterval(sending);
  });

  it("is told in clear that no TLS is spoken", async () => {
    const listeners = await open([
      { url: "http://127.0.0.1:0", http1, http2 },
      { url: "http://127.0.0.1:0", http2 },
    ]);
    await expect(ask1(portOf(listeners))).rejects.toThrow(/wrong version number/);
    await expect(ask1(portOf(listeners, 1))).rejects.toThrow(/disconnected|ECONNRESET|hang up/);
    expect(mismatches).toHaveLength(2);
    expect(mismatches[0]).toContain("it speaks TLS, and this port does not");
  });
});

describe("closing", () => {
  it("waits for no handshake, and cuts what was let in after the bound", async () => {
    const listeners = await open([{ url, http1: (socket) => void socket.resume(), http2 }]);
    const port = portOf(listeners);
    const silent = connectTcp(port, "127.0.0.1").resume();
    const halfway = connectTcp(port, "127.0.0.1").resume();
    halfway.write(Buffer.of(22, 3, 1, 1, 0, 1));
    const inside = secured(port, ["http/1.1"]);
    for (const socket of [silent, halfway, inside]) socket.on("error", () => undefined);
    await Promise.all([once(inside, "secureConnect"), once(silent, "connect")]);
    inside.resume();
    const ends = [silent, halfway, inside].map(
      (socket) => new Promise((resolve) => void socket.once("close", resolve)),
    );
    await listeners.close(50);
    await Promise.all(ends);
  });

  it("opens nothing when a URL needs a certificate and there is none", async () => {
    const request = { url, http1 };
    await expect(openListeners([request])).rejects.toThrow(`cannot listen on ${url}: no certificate and key are given`);
  });
});

describe("connections that are held", () => {
  it("shake hands when they are served", async () => {
    const listeners = await open([{ url, http1, http2, hold: true }]);
    const port = portOf(listeners);
    const answer = ask1(port);
    const early = secured(port, ["http/1.1"]);
    await once(early, "connect");
    expect(callers).toEqual([]);
    listeners.serve();
    expect(await answer).toBe("one");
    early.destroy();
  });
});
