/** Handshakes from the side of those who try: who gets in, who does not, how soon, and what the log says of it. */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Secured, TlsAcceptor } from "../../../src/server/tls/acceptor.js";
import { Complaints } from "../../../src/server/tls/complaints.js";
import type { TlsConfig } from "../../../src/server/tls/types.js";
import { Authority } from "../../support/certificates.js";
import { logTo, mutualTls, opened, plainTls, showing } from "./material.js";

const patience = { timeout: 10_000, interval: 5 };

let ours: Authority;

beforeAll(async () => {
  ours = await Authority.create("ours");
});

afterAll(() => ours.remove());

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

interface Door {
  readonly port: number;
  readonly lines: string[];
  readonly letIn: Secured[];
}

/** A port that says "in" to whom it lets in. */
async function openDoor(config: TlsConfig, handshakeTimeoutMs = 10_000): Promise<Door> {
  const lines: string[] = [];
  const letIn: Secured[] = [];
  const logger = logTo(lines);
  const { admission } = await opened(config, logger);
  if (admission === undefined) throw new Error("there is no certificate");
  const acceptor = new TlsAcceptor({
    admission,
    protocols: ["h2", "http/1.1"],
    endpoint: "client",
    complaints: new Complaints(logger),
    handshakeTimeoutMs,
    onSecured: (secured) => {
      letIn.push(secured);
      secured.socket.end("in");
    },
  });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    acceptor.accept(socket);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => void server.close(resolve));
  });
  return { port: (server.address() as { port: number }).port, lines, letIn };
}

interface Visit {
  readonly said: string;
  readonly error: string | undefined;
  readonly isReused: boolean;
  readonly session: Buffer | undefined;
}

/** Knocks, and tells what happened until the door closed. */
async function knock({ port }: Door, options: ConnectionOptions = {}): Promise<Visit> {
  const socket = connect({ port, host: "127.0.0.1", ca: ours.ca, ...options });
  let said = "";
  let error: string | undefined;
  let session: Buffer | undefined;
  let isReused = false;
  socket.on("secureConnect", () => (isReused = socket.isSessionReused()));
  socket.on("data", (chunk: Buffer) => (said += chunk.toString()));
  socket.on("error", (reason: NodeJS.ErrnoException) => (error = reason.code ?? reason.message));
  socket.on("session", (ticket: Buffer) => (session = ticket));
  await new Promise((resolve) => void socket.once("close", resolve));
  return { said, error, isReused, session };
}

function told({ lines }: Door, text: string): boolean {
  return lines.some((line) => line.includes('"level":"warn"') && line.includes(text));
}

const server = async (change: Partial<TlsConfig> = {}): Promise<TlsConfig> => ({
  ...plainTls,
  identity: showing(await ours.issue()),
  ...change,
});

describe("a port with TLS", () => {
  it("lets in whoever comes if it demands nothing, and asks for no name", async () => {
    const door = await openDoor(await server());
    const { cert, key } = await ours.issue({ commonName: "alice" });
    expect((await knock(door)).said).toBe("in");
    expect((await knock(door, { cert, key })).said).toBe("in");
    expect(door.letIn.map(({ commonName }) => commonName)).toEqual([undefined, undefined]);
  });

  it("says who came, if it demands a certificate", async () => {
    const door = await openDoor(await mutualTls({ signedBy: ours }));
    const { cert, key } = await ours.issue({ commonName: "alice" });
    expect((await knock(door, { cert, key })).said).toBe("in");
    const { cert: namelessCert, key: namelessKey } = await ours.issue();
    expect((await knock(door, { cert: namelessCert, key: namelessKey })).said).toBe("in");
    expect(door.letIn.map(({ commonName }) => commonName)).toEqual(["alice", undefined]);
  });

  it("tells a caller without a certificate what is missing", async () => {
    const door = await openDoor(await mutualTls({ signedBy: ours }));
    const { said, error } = await knock(door);
    expect([said, error]).toEqual(["", "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"]);
    await expect.poll(() => told(door, "peer did not return a certificate"), patience).toBe(true);
    expect(told(door, "rejected connection on client endpoint")).toBe(true);
    expect(told(door, '"remote-addr":"127.0.0.1:')).toBe(true);
  });

  it("trusts an intermediate authority without its root, and a chain that leads to the root", async () => {
    const middle = await ours.intermediate("middle");
    const { cert, key } = await middle.issue({ commonName: "alice" });
    for (const trustedCaFile of [middle.caFile, ours.caFile]) {
      const door = await openDoor(await mutualTls({ signedBy: ours, change: { trustedCaFile } }));
      expect((await knock(door, { cert, key })).said).toBe("in");
    }
    const door = await openDoor(await mutualTls({ signedBy: ours, change: { trustedCaFile: middle.caFile } }));
    const direct = await ours.issue();
    expect((await knock(door, { cert: direct.cert, key: direct.key })).said).toBe("");
  });

  it("revokes a whole branch by its authority's serial number", async () => {
    const middle = await ours.intermediate("middle");
    const { cert, key } = await middle.issue();
    const crlFile = ours.write("branch.crl", await ours.revocationList([]));
    const door = await openDoor(await mutualTls({ signedBy: ours, change: { crlFile } }));
    expect((await knock(door, { cert, key })).said).toBe("in");
    const serial = new X509Certificate(middle.ca).serialNumber;
    writeFileSync(crlFile, await ours.revocationList([{ cert: "", key: "", certFile: "", keyFile: "", serial }]));
    expect((await knock(door, { cert, key })).said).toBe("");
    expect(told(door, `certificate serial ${serial.toLowerCase()} revoked`)).toBe(true);
  });

  it("takes up no session again: a ticket is no certificate", async () => {
    const crlFile = ours.write("tickets.crl", await ours.revocationList([]));
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      writeFileSync(crlFile, await ours.revocationList([]));
      const door = await openDoor(await mutualTls({ signedBy: ours, change: { crlFile } }));
      const issued = await ours.issue();
      const { cert, key } = issued;
      const first = await knock(door, { cert, key, maxVersion });
      expect(first.said).toBe("in");
      const again = await knock(door, { cert, key, maxVersion, session: first.session });
      expect([again.said, again.isReused]).toEqual(["in", false]);
      writeFileSync(crlFile, await ours.revocationList([issued]));
      expect((await knock(door, { cert, key, maxVersion, session: first.session })).said).toBe("");
    }
  });

  it("shows the certificate that its files hold now", async () => {
    const config = await server();
    const door = await openDoor(config);
    if (config.identity?.kind !== "files") throw new Error("there are files");
    const next = await ours.issue({ commonName: "next" });
    expect((await knock(door)).said).toBe("in");
    writeFileSync(config.identity.certFile, next.cert);
    expect((await knock(door)).said).toBe("in"); // with the old pair
    writeFileSync(config.identity.keyFile, next.key);
    const socket = connect({ port: door.port, host: "127.0.0.1", ca: ours.ca });
    await once(socket, "secureConnect");
    expect(socket.getPeerCertificate().subject.CN).toBe("next");
    socket.destroy();
  });
});

describe("versions and ciphers", () => {
  const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;

  it("are those of today by default: no TLS 1.1, nothing weak", async () => {
    const rsa = showing(await ours.issue({ algorithm: "RSA" }));
    const door = await openDoor(await server({ identity: rsa }));
    expect((await knock(door, old)).error).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    for (const ciphers of ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"]) {
      const { said, error } = await knock(door, { maxVersion: "TLSv1.2", ciphers });
      expect([said, error]).toEqual(["", "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE"]);
    }
    for (const ciphers of ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"]) {
      expect((await knock(door, { maxVersion: "TLSv1.2", ciphers })).said).toBe("in");
    }
    expect(told(door, "unsupported protocol")).toBe(true);
    expect(told(door, "no shared cipher")).toBe(true);
  });

  it("are as the operator wants them", async () => {
    const rsa = showing(await ours.issue({ algorithm: "RSA" }));
    const of = (protocol: Partial<TlsConfig["protocol"]>) =>
      server({ identity: rsa, protocol: { ...plainTls.protocol, ...protocol } }).then((config) => openDoor(config));
    const only13 = await of({ minVersion: "TLSv1.3" });
    expect((await knock(only13, { maxVersion: "TLSv1.2" })).said).toBe("");
    expect((await knock(only13)).said).toBe("in");
    const only12 = await of({ maxVersion: "TLSv1.2" });
    expect((await knock(only12, { minVersion: "TLSv1.3" })).said).toBe("");
    expect((await knock(only12)).said).toBe("in");
    const oldSuite = await of({ ciphers: ["AES128-SHA"] });
    expect((await knock(oldSuite, { maxVersion: "TLSv1.2", ciphers: "AES128-SHA" })).said).toBe("in");
    expect((await knock(oldSuite, { maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-GCM-SHA256" })).said).toBe("");
    expect((await knock(oldSuite, { minVersion: "TLSv1.3" })).said).toBe("in"); // as in Go, 1.3 stays as it is
    const new13 = await of({ ciphers: ["TLS_AES_256_GCM_SHA384", "AES128-SHA"] });
    expect((await knock(new13, { minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" })).said).toBe("");
    expect((await knock(new13, { minVersion: "TLSv1.3" })).said).toBe("in");
  });
});

describe("a caller that wastes time", () => {
  it("is cut when its handshake takes too long, however busy it looks", async () => {
    const door = await openDoor(await server(), 300);
    const silent = connectTcp(door.port, "127.0.0.1");
    const dripping = connectTcp(door.port, "127.0.0.1");
    const hello = Buffer.concat([Buffer.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3), Buffer.alloc(400)]);
    let at = 0;
    const drip = setInterval(() => dripping.write(hello.subarray(at, (at += 1))), 20);
    const begunMs = performance.now();
    const closed = [silent, dripping].map((socket) => {
      socket.on("error", () => undefined);
      return new Promise((resolve) => void socket.resume().once("close", resolve));
    });
    await Promise.all(closed);
    clearInterval(drip);
    expect(performance.now() - begunMs).toBeLessThan(5_000);
    expect(at).toBeGreaterThan(3);
    expect(at).toBeLessThan(400);
    expect(told(door, "timed out")).toBe(true);
    expect(door.letIn).toEqual([]);
  });

  it("that was let in may take its time", async () => {
    const lines: string[] = [];
    const { admission } = await opened(await server(), logTo(lines));
    if (admission === undefined) throw new Error("there is no certificate");
    const letIn: Secured[] = [];
    const acceptor = new TlsAcceptor({
      admission,
      protocols: [],
      endpoint: "client",
      complaints: new Complaints(logTo(lines)),
      handshakeTimeoutMs: 200,
      onSecured: (secured) => letIn.push(secured),
    });
    const port = createServer((socket) => acceptor.accept(socket));
    await new Promise<void>((resolve) => void port.listen(0, "127.0.0.1", resolve));
    const socket = connect({ port: (port.address() as { port: number }).port, host: "127.0.0.1", ca: ours.ca });
    await once(socket, "secureConnect");
    const begunMs = performance.now();
    await expect.poll(() => performance.now() - begunMs, { timeout: 5_000 }).toBeGreaterThan(500);
    letIn[0]?.socket.write("still here");
    const [chunk] = (await once(socket, "data")) as [Buffer];
    expect(chunk.toString()).toBe("still here");
    socket.destroy();
    await new Promise((resolve) => void port.close(resolve));
  });

  it("or sends nonsense is cut, and nothing else happens", async () => {
    const door = await openDoor(await server());
    for (const bytes of [
      Buffer.of(22, 3, 1, 255, 255, 1, 2, 3),
      Buffer.alloc(100, 22),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    ]) {
      const socket = connectTcp(door.port, "127.0.0.1");
      socket.on("error", () => undefined);
      const closed = new Promise((resolve) => void socket.resume().once("close", resolve));
      socket.end(bytes);
      await closed;
    }
    expect((await knock(door)).said).toBe("in");
  });

  it("cannot fill the log", async () => {
    const door = await openDoor(await mutualTls({ signedBy: ours }));
    for (let count = 0; count < 30; count += 1) await knock(door);
    expect(door.lines.filter((line) => line.includes('"level":"warn"'))).toHaveLength(1);
  });

  it("and only looks whether anybody listens is no cause for a warning", async () => {
    const door = await openDoor(await server());
    const socket = connectTcp(door.port, "127.0.0.1");
    await once(socket, "connect");
    socket.end();
    await expect.poll(() => door.lines.some((line) => line.includes("the caller hung up")), patience).toBe(true);
    expect(door.lines.filter((line) => line.includes('"level":"warn"'))).toEqual([]);
  });
});

describe("complaints", () => {
  it("are written once a window for each host and reason, and so many in all", () => {
    const lines: string[] = [];
    let nowMs = 0;
    const complaints = new Complaints(logTo(lines), () => nowMs);
    for (let count = 0; count < 5; count += 1) complaints.say("no", `10.0.0.1:${count}`, "expired");
    complaints.say("no", "10.0.0.1:9", "revoked");
    expect(lines).toHaveLength(2);
    for (let host = 0; host < 100; host += 1) complaints.say("no", `10.0.1.${host}:1`, "expired");
    expect(lines).toHaveLength(10);
    nowMs = 10_000;
    complaints.say("no", "10.0.0.1:1", "expired");
    complaints.say("no", "10.0.0.2:1", "expired");
    expect(lines).toHaveLength(12);
    expect(JSON.parse(lines[10] ?? "")).toMatchObject({ "remote-addr": "10.0.0.1:1", "lines-left-out-before": 92 });
    expect(lines[11]).not.toContain("left-out");
  });
});
