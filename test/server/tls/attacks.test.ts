/**
 * Ours and a real etcd, each a process with the same certificates and flags, and callers who may come in and who may not:
 * what one lets in, so does the other.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { get } from "node:https";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { Authority, type Issued, loopbackNames } from "../../support/certificates.js";
import { onClusterTargets } from "../../support/cluster-targets.js";
import { Member } from "../../support/member.js";
import { realEtcdDirectory } from "../../support/real-etcd.js";

const litectl = fileURLToPath(new URL("../../../bin/litectl.js", import.meta.url));
/** Who may come in has this name. */
const friend = { commonName: "friend", names: [...loopbackNames, "DNS:friend.example"] };

onClusterTargets("TLS for clients", ({ program, flags, name: target }) => {
  let ours: Authority;
  let theirs: Authority;
  let server: Issued;
  let good: Issued;
  let revoked: Issued;
  let member: Member;

  beforeAll(async () => {
    ours = await Authority.create("ours");
    theirs = await Authority.create("theirs");
    server = await ours.issue({ algorithm: "RSA" });
    good = await ours.issue(friend);
    revoked = await ours.issue(friend);
    const crlFile = ours.write("clients.crl", await ours.revocationList([revoked]));
    const tls = [
      `--cert-file=${server.certFile}`,
      `--key-file=${server.keyFile}`,
      `--trusted-ca-file=${ours.caFile}`,
      "--client-cert-auth",
      `--client-crl-file=${crlFile}`,
      "--client-cert-allowed-hostname=friend.example",
    ];
    member = await Member.create(program, [...flags, ...tls], "https");
    await member.start();
  });

  afterAll(async () => {
    await member.dispose();
    ours.remove();
    theirs.remove();
  });

  const port = (): number => Number(member.endpoint.split(":")[1]);

  /** What the server says to a caller with this certificate: its answer, or why there is none. */
  function ask(certificate: Issued | undefined, options: ConnectionOptions = {}): Promise<string> {
    const { cert, key } = certificate ?? {};
    const shown = cert === undefined || key === undefined ? {} : { cert, key };
    const where = { host: "127.0.0.1", port: port(), path: "/version", agent: false, ca: ours.ca };
    return new Promise((resolve) => {
      const request = get({ ...where, ...shown, ...options }, (response) => {
        response.setEncoding("utf8").on("data", (text: string) => resolve(text.includes("etcdserver") ? "in" : text));
      });
      request.on("error", (error: NodeJS.ErrnoException) => resolve(`out: ${error.code ?? error.message}`));
    });
  }

  it("lets in who is known, by either version, over HTTP/1 and over HTTP/2", async () => {
    expect(await ask(good)).toBe("in");
    expect(await ask(good, { maxVersion: "TLSv1.2" })).toBe("in");
    const { cert, key } = good;
    const session = connectHttp2(`https://127.0.0.1:${port()}`, { ca: ours.ca, cert, key });
    const answer = await new Promise<string>((resolve, reject) => {
      session.on("error", reject);
      session.request({ ":path": "/version" }).setEncoding("utf8").on("data", resolve).on("error", reject);
    });
    session.close();
    expect(answer).toContain("etcdserver");
  });

  it.each<[string, () => Promise<Issued | undefined>, ConnectionOptions?]>([
    ["nobody", async () => undefined],
    ["a stranger's authority", () => theirs.issue(friend)],
    ["an expired certificate", () => ours.issue({ ...friend, validHours: { from: -3, until: -1 } })],
    ["a certificate of tomorrow", () => ours.issue({ ...friend, validHours: { from: 1, until: 3 } })],
    ["a certificate for servers only", () => ours.issue({ ...friend, usages: ["server"] })],
    ["another name", () => ours.issue({ commonName: "friend.example", names: ["DNS:foe.example"] })],
    ["a revoked certificate", async () => revoked],
    ["TLS 1.1", async () => good, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }],
    ["a cipher that is broken", async () => good, { maxVersion: "TLSv1.2", ciphers: "DHE-RSA-AES128-SHA" }],
  ])("keeps out who comes with %s", async (_what, certificate, options = {}) => {
    expect(await ask(await certificate(), options)).toMatch(/^out: (ERR_SSL|ECONNRESET|EPIPE|EPROTO)/);
  });

  it.runIf(target === "process")(
    "keeps out, unlike etcd 3.5, who comes with a cipher without forward secrecy",
    async () => {
      const options = { maxVersion: "TLSv1.2", ciphers: "AES128-GCM-SHA256" } as const;
      expect(await ask(good, options)).toMatch(/^out: (ERR_SSL|EPROTO)/);
    },
  );

  it("keeps out a stolen certificate without its key", async () => {
    const { cert } = good;
    const { key } = await ours.issue(friend);
    expect(() => connect({ host: "127.0.0.1", port: port(), cert, key })).toThrow("key values mismatch");
    // An authority may call itself whatever it likes.
    const impostor = await Authority.create("ours");
    expect(await ask(await impostor.issue(friend))).toMatch(/^out/);
    impostor.remove();
  });

  it("ends with a caller who speaks in clear", async () => {
    for (const bytes of ["GET /version HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\0"]) {
      const socket = connectTcp(port(), "127.0.0.1");
      let answer = "";
      socket.on("error", () => undefined).on("data", (chunk: Buffer) => (answer += chunk.toString()));
      socket.end(bytes);
      await new Promise((resolve) => void socket.once("close", resolve));
      expect(answer).not.toContain("etcdserver");
    }
  });

  it("serves etcdctl and litectl with certificates, and tells them from those without", async () => {
    const certificates = ["--cacert", ours.caFile, "--cert", good.certFile, "--key", good.keyFile];
    const endpoint = ["--endpoints", `https://${member.endpoint}`];
    const programs: [string, string[]][] = [
      [join(realEtcdDirectory ?? "", "etcdctl"), []],
      [process.execPath, [litectl]],
    ];
    for (const [command, words] of programs) {
      const run = (...args: string[]): Promise<string> => execute(command, [...words, ...endpoint, ...args]);
      expect(await run(...certificates, "put", "tls", "1")).toBe("OK\n");
      expect(await run(...certificates, "get", "tls")).toBe("tls\n1\n");
      const stranger = await run("--cacert", ours.caFile, "--command-timeout", "500ms", "get", "tls");
      expect(stranger).toMatch(/^1 [^]*Error: context deadline exceeded/);
    }
  });

  it("talks with openssl as others do", async () => {
    const words = ["s_client", "-connect", member.endpoint, "-CAfile", ours.caFile, "-verify_return_error", "-brief"];
    const { certFile, keyFile } = good;
    const said = await execute("openssl", [...words, "-cert", certFile, "-key", keyFile, "-alpn", "h2"], "Q\n");
    expect(said).toContain("Protocol version: TLSv1.3");
    expect(said).toContain("Verification: OK");
  });

  it("shows a certificate that was exchanged to those who come next, and lets the others be", async () => {
    const { cert, key } = good;
    const before = connectHttp2(`https://127.0.0.1:${port()}`, { ca: ours.ca, cert, key });
    before.on("error", () => undefined);
    await new Promise((resolve) => void before.once("connect", resolve));
    const next = await ours.issue({ commonName: "next", algorithm: "RSA" });
    writeFileSync(server.certFile, next.cert);
    writeFileSync(server.keyFile, next.key);
    const shown = () =>
      new Promise<string>((resolve, reject) => {
        const socket = connect({ host: "127.0.0.1", port: port(), ca: ours.ca, cert, key }, () => {
          resolve(String(socket.getPeerCertificate().subject.CN));
          socket.destroy();
        });
        socket.on("error", reject);
      });
    await vi.waitFor(async () => expect(await shown()).toBe("next"), { timeout: 5_000 });
    const status = await new Promise((resolve) => {
      before
        .request({ ":path": "/health" })
        .on("response", (headers) => resolve(headers[":status"]))
        .resume();
    });
    expect(status).toBe(200);
    before.close();
  });

  it.runIf(target === "process")("tells in its log who was kept out, and why", () => {
    for (const reason of ["signed by unknown authority", "it has expired", "it is not for clients"]) {
      expect(member.log).toContain(reason);
    }
    expect(member.log).toMatch(/"msg":"rejected connection on client endpoint","remote-addr":"127\.0\.0\.1:\d+"/);
  });
});

/** What a program prints; with its exit code and its complaints in front, if it fails. */
function execute(command: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { env: { PATH: process.env["PATH"] } }, (error, stdout, stderr) => {
      const said = command === "openssl" ? `${stdout}${stderr}` : stdout;
      resolve(error === null ? said : `${error.code} ${stderr}`);
    });
    child.stdin?.end(input);
  });
}
