/** TLS of the client: what it says of every failure, and certificates that change while it runs. */
import { rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { grpcTransport } from "../../src/client/connection/lazy-grpc.js";
import { createClient, type LogEntry, type TlsOptions } from "../../src/client/index.js";
import { settingsOf } from "../../src/client/options.js";
import { Authority, type Issued } from "../support/certificates.js";
import { startGrpcStub } from "../support/grpc-stub.js";

/** A lasting failure is told long before a call's own deadline. */
const deadlineMs = 15_000;
const soonMs = 8_000;

let authority: Authority;
let stranger: Authority;
let server: Issued;
beforeAll(async () => {
  authority = await Authority.create("house CA");
  stranger = await Authority.create("some other CA");
  server = await authority.issue({ commonName: "the server" });
});
afterAll(() => {
  authority.remove();
  stranger.remove();
});

/** What a get fails with, and that it fails at once where waiting mends nothing. */
async function failure(endpoint: string, tls: TlsOptions | undefined): Promise<Error> {
  const startedMs = performance.now();
  await using client = createClient({
    endpoints: endpoint,
    timeoutMs: deadlineMs,
    ...(tls === undefined ? {} : { tls }),
  });
  const error = await client.get("x").then(
    () => new Error("the call succeeded"),
    (cause: unknown) => cause as Error,
  );
  expect(error).toMatchObject({ code: "ConnectFailed", outcome: "not-applied" });
  expect(performance.now() - startedMs).toBeLessThan(soonMs);
  return error;
}

describe("a failed handshake names the certificate, the reason and the option", () => {
  it.each([
    [
      "has run out",
      { from: -48, until: -24 },
      /server's certificate \(CN=the server, issued by CN=house CA, .*has expired/,
    ],
    ["is not valid yet", { from: 24, until: 48 }, /server's certificate \(CN=the server.*is not valid yet/],
  ])("when the server's certificate %s", async (_, validHours, text) => {
    const { cert, key } = await authority.issue({ commonName: "the server", validHours });
    await using stub = await startGrpcStub({ tls: { cert, key } });
    expect((await failure(stub.endpoint, { ca: authority.ca })).message).toMatch(text);
  });

  it("when nobody we trust issued it", async () => {
    await using stub = await startGrpcStub({ tls: { cert: server.cert, key: server.key } });
    const { message } = await failure(stub.endpoint, { ca: { file: stranger.caFile } });
    expect(message).toContain("(CN=the server, issued by CN=house CA");
    expect(message).toContain(`was not issued by anyone in tls.ca (${stranger.caFile})`);
    expect((await failure(stub.endpoint, undefined)).message).toContain("the roots of Node (tls.ca is not set)");
  });

  it("when it is for another name", async () => {
    await using stub = await startGrpcStub({ tls: { cert: server.cert, key: server.key } });
    const { message } = await failure(stub.endpoint, { ca: authority.ca, serverName: "db.example" });
    expect(message).toContain("is not for db.example but for IP Address:127.0.0.1");
    expect(message).toContain("tls.serverName");
  });

  it("when the server looks at the client's certificate after the handshake, and hangs up", async () => {
    const { cert, key } = await stranger.issue();
    const demands = {
      cert: server.cert,
      key: server.key,
      ca: authority.ca,
      requestCert: true,
      rejectUnauthorized: true,
    };
    await using stub = await startGrpcStub({ tls: demands });
    await using client = createClient({ endpoints: stub.endpoint, tls: { ca: authority.ca, cert, key } });
    await expect(client.get("x", { timeoutMs: 500 })).rejects.toMatchObject({
      code: "ConnectFailed",
      message: expect.stringContaining("it may not accept the client certificate tls.cert"),
    });
    await using bare = createClient({ endpoints: stub.endpoint, tls: { ca: authority.ca } });
    await expect(bare.get("x")).rejects.toThrow("the server wants a client certificate: set tls.cert and tls.key");
  });

  it("when the server speaks plain text", async () => {
    await using stub = await startGrpcStub();
    const { message } = await failure(stub.endpoint.replace("http:", "https:"), { ca: authority.ca });
    expect(message).toContain("does not speak TLS: use http://");
  });

  it("when the server speaks TLS and we do not", async () => {
    await using stub = await startGrpcStub({ tls: { cert: server.cert, key: server.key } });
    const { message } = await failure(stub.endpoint.replace("https:", "http:"), undefined);
    expect(message).toContain("the server speaks TLS: use https://");
  });
});

describe("options that cannot work are told before anything is sent", () => {
  /** No connection is made, so nobody has to be there. */
  const nowhere = "https://127.0.0.1:1";

  it("a key of another certificate", async () => {
    const other = await authority.issue();
    const tls = { ca: authority.ca, cert: { file: server.certFile }, key: { file: other.keyFile } };
    const { message } = await failure(nowhere, tls);
    expect(message).toContain(
      `tls.key (${other.keyFile}) is not the key of the certificate in tls.cert (${server.certFile})`,
    );
  });

  it("a file that is not there", async () => {
    const { message } = await failure(nowhere, { ca: { file: join(authority.directory, "gone.pem") } });
    expect(message).toMatch(/tls\.ca \(.*gone\.pem\) cannot be read: ENOENT/);
  });

  it("a certificate without its key", async () => {
    expect((await failure(nowhere, { cert: server.cert })).message).toContain("tls.key is missing");
  });

  it.each([
    ["empty", "", /holds no certificate/],
    ["no PEM", "certificate", /holds no certificate/],
    ["cut off", "-----BEGIN CERTIFICATE-----\nMIIB", /holds no certificate/],
    ["broken", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", /certificate 1 cannot be read/],
  ])("roots that are %s do not mean the system's", async (_, ca, text) => {
    expect((await failure(nowhere, { ca })).message).toMatch(text);
  });

  it("a key is never shown", async () => {
    const key = server.key.replace("MIG", "!!!");
    const error = await failure(nowhere, { cert: server.cert, key });
    expect(error.message).toContain("tls.key holds no private key");
    const secret = server.key.split("\n")[2] ?? "";
    expect(secret).toHaveLength(64);
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      expect(`${cause.message}${cause.stack}`).not.toContain(secret);
    }
  });
});

/** A connection that is broken again and again, and which certificate it shows each time. */
async function rotating(reloadIntervalMs: number) {
  const [certFile, keyFile] = ["rotating.crt", "rotating.key"].map((name) => join(authority.directory, name)) as [
    string,
    string,
  ];
  const [first, second] = [await authority.issue(), await authority.issue()];
  await writeFile(certFile, first.cert);
  await writeFile(keyFile, first.key);
  const stub = await startGrpcStub({
    tls: { cert: server.cert, key: server.key, ca: authority.ca, requestCert: true, rejectUnauthorized: true },
  });
  const entries: LogEntry[] = [];
  const tls = { ca: authority.ca, cert: { file: certFile }, key: { file: keyFile }, reloadIntervalMs };
  const settings = settingsOf({ endpoints: stub.endpoint, tls, log: (entry) => void entries.push(entry) });
  const connection = grpcTransport.connect(stub.endpoint, settings);
  /** The serial number that a new connection shows. */
  const reconnect = async (): Promise<string | undefined> => {
    stub.cut();
    await expect.poll(() => stub.connectionCount + Number(connection.isReady())).toBe(0);
    const before = stub.clientSerials.length;
    await expect
      .poll(async () => {
        await connection.ready({ timeoutMs: deadlineMs, signal: undefined });
        return connection.isReady();
      })
      .toBe(true);
    expect(stub.clientSerials.length).toBeGreaterThan(before);
    return stub.clientSerials.at(-1);
  };
  return {
    first,
    second,
    certFile,
    keyFile,
    entries,
    reconnect,
    [Symbol.asyncDispose]: async () => {
      connection.close();
      await stub[Symbol.asyncDispose]();
    },
  };
}

/** As cert-manager and certbot do it: the new file takes the place of the old one in one step. */
async function put(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

describe("certificates that change", () => {
  it("are used by the next connection, and not before certificate and key fit", async () => {
    await using world = await rotating(0);
    const { first, second, entries } = world;
    expect(await world.reconnect()).toBe(first.serial);
    await put(world.certFile, second.cert);
    expect(await world.reconnect()).toBe(first.serial);
    expect(await world.reconnect()).toBe(first.serial);
    expect(entries).toMatchObject([
      { level: "warn", message: expect.stringContaining("is not the key of the certificate") },
    ]);
    await put(world.keyFile, second.key.slice(0, 100));
    expect(await world.reconnect()).toBe(first.serial);
    await put(world.keyFile, second.key);
    expect(await world.reconnect()).toBe(second.serial);
    await put(world.certFile, "");
    expect(await world.reconnect()).toBe(second.serial);
  });

  it("are not looked for within reloadIntervalMs", async () => {
    await using world = await rotating(3_600_000);
    expect(await world.reconnect()).toBe(world.first.serial);
    await put(world.certFile, world.second.cert);
    await put(world.keyFile, world.second.key);
    expect(await world.reconnect()).toBe(world.first.serial);
    expect(world.entries).toEqual([]);
  });
});

describe("insecureSkipVerify", () => {
  afterEach(() => void vi.restoreAllMocks());

  it("warns once, of the process if there is no log", async () => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { cert, key } = await stranger.issue({ names: [] });
    await using stub = await startGrpcStub({ tls: { cert, key } });
    await using client = createClient({ endpoints: stub.endpoint, tls: { insecureSkipVerify: true } });
    await client.raw.kv.range({ key: new Uint8Array([1]) });
    // Streams have a connection of their own.
    await using _ = client.watch("x", { from: 1 });
    await expect.poll(() => stub.connectionCount).toBe(2);
    expect(warning.mock.calls.map(([message]) => message)).toEqual([expect.stringContaining("is not verified")]);
  });
});

it("a server that hangs up in the middle of the handshake may come back", async () => {
  const hangUp = createServer((socket) => void socket.once("data", () => socket.destroy()));
  await new Promise<void>((resolve) => hangUp.listen(0, "127.0.0.1", resolve));
  const address = hangUp.address();
  if (address === null || typeof address === "string") throw new Error("no port was given");
  await using client = createClient({ endpoints: `https://127.0.0.1:${address.port}`, tls: { ca: authority.ca } });
  const error = await client.get("x", { timeoutMs: 400 }).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: "ConnectFailed", retryable: true });
  expect(String(error)).toContain("hung up during the handshake");
  await new Promise((resolve) => hangUp.close(resolve));
});
