/** A cluster whose members trust one authority and its clients another, as processes, driven by etcdctl. */
import { existsSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { Authority, type Issued } from "../support/certificates.js";
import { Cluster, quickTicks } from "../support/cluster.js";
import { onOurCluster } from "../support/cluster-targets.js";
import { Member } from "../support/member.js";
import { realEtcdDirectory } from "../support/real-etcd.js";
import { etcdctl } from "./etcdctl.js";

onOurCluster("A cluster with TLS", ({ program, flags: usual }) => {
  const flags = [...usual, ...quickTicks];
  const open: { dispose(): Promise<void> }[] = [];
  let clients: Authority;
  let peers: Authority;
  let client: Issued;

  beforeAll(async () => {
    clients = await Authority.create("clients");
    peers = await Authority.create("peers");
    client = await clients.issue({ commonName: "alice" });
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.dispose()));
  });

  afterAll(() => {
    clients.remove();
    peers.remove();
  });

  async function tlsFlags(): Promise<{ readonly words: readonly string[]; readonly peer: Issued }> {
    const [server, peer] = await Promise.all([clients.issue(), peers.issue({ commonName: "member" })]);
    const words = [
      `--cert-file=${server.certFile}`,
      `--key-file=${server.keyFile}`,
      `--trusted-ca-file=${clients.caFile}`,
      "--client-cert-auth",
      `--peer-cert-file=${peer.certFile}`,
      `--peer-key-file=${peer.keyFile}`,
      `--peer-trusted-ca-file=${peers.caFile}`,
      "--peer-client-cert-auth",
      "--peer-cert-allowed-cn=member",
    ];
    return { words, peer };
  }

  async function secureCluster(more: readonly string[]): Promise<Cluster> {
    const cluster = await Cluster.create({ program, size: 3, scheme: "https", flags: [...flags, ...more] });
    open.push(cluster);
    return cluster;
  }

  function ctl(members: readonly Member[], ...args: readonly string[]) {
    const words = ["--cacert", clients.caFile, "--cert", client.certFile, "--key", client.keyFile];
    return etcdctl(
      members.map(({ endpoint }) => `https://${endpoint}`),
      ...words,
      ...args,
    );
  }

  it.skipIf(realEtcdDirectory === undefined)(
    "founds itself, writes, reads, changes its leader, loses one and takes in another",
    async () => {
      const { words } = await tlsFlags();
      const cluster = await secureCluster(words);
      await Promise.all(cluster.members.map((member) => member.start()));
      expect((await ctl(cluster.members, "put", "a", "1")).out).toBe("OK\n");
      for (const member of cluster.members) expect((await ctl([member], "get", "a")).out).toBe("a\n1\n");
      const leaderOf = async (): Promise<string> => {
        const { out } = await ctl(cluster.members, "endpoint", "status", "-w", "json");
        return BigInt(/"leader":(\d+)/.exec(out)?.[1] ?? 0).toString(16);
      };
      const leader = await leaderOf();
      const listed = (await ctl(cluster.members, "member", "list")).out;
      expect(listed.match(/https:\/\/127\.0\.0\.1:\d+, https:\/\/127\.0\.0\.1:\d+/g)).toHaveLength(3);
      const [other = ""] = [...listed.matchAll(/^([0-9a-f]+),/gm)]
        .map(([, id = ""]) => id)
        .filter((id) => id !== leader);
      expect((await ctl(cluster.members, "move-leader", other)).out).toContain("Leadership transferred");
      expect(await leaderOf()).toBe(other);
      const name = new RegExp(`^${other}, started, (m\\d),`, "m").exec(listed)?.[1];
      const leading = cluster.members.find((member) => member.name === name);
      await leading?.end("SIGKILL");
      const left = cluster.members.filter((member) => member !== leading);
      await vi.waitFor(async () => expect((await ctl(left, "put", "a", "2")).out).toBe("OK\n"), { timeout: 15_000 });
      await leading?.start();
      const added = await cluster.prepare("m4", cluster.members);
      const add = () => ctl(left, "member", "add", "m4", `--peer-urls=${added.peerUrl}`);
      await vi.waitFor(async () => expect((await add()).code).toBe(0), { timeout: 15_000, interval: 300 });
      await added.start();
      expect((await ctl([added], "get", "a")).out).toBe("a\n2\n");
    },
    60_000,
  );

  it("lets no one but members talk to members", async () => {
    const { words } = await tlsFlags();
    const cluster = await secureCluster(words);
    await Promise.all(cluster.members.map((member) => member.start()));
    const member = cluster.member(1);
    const port = Number(new URL(member.peerUrl).port);
    const friend = await peers.issue({ commonName: "member" });
    const sameAuthority = await peers.issue({ commonName: "backup" });
    /** What a caller gets that speaks HTTP/2: the first byte of a frame, or the end. */
    const knock = (certificate: Issued | undefined): Promise<"in" | "out"> => {
      const { cert, key } = certificate ?? {};
      const shown = cert === undefined || key === undefined ? {} : { cert, key };
      const socket = connect({ host: "127.0.0.1", port, ca: peers.ca, ALPNProtocols: ["h2"], ...shown });
      return outcome(socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");
    };
    expect(await knock(friend)).toBe("in");
    for (const certificate of [undefined, client, sameAuthority]) expect(await knock(certificate)).toBe("out");
    expect(await outcome(connectTcp(port, "127.0.0.1"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).toBe("out");
    expect(await outcome(connectTcp(port, "127.0.0.1"), "GET /version HTTP/1.1\r\n\r\n")).toBe("out");
    for (const reason of [
      "signed by unknown authority",
      "client certificate authentication failed",
      "TLS handshake: ",
    ]) {
      expect(member.log).toContain(reason);
    }
  });

  it("goes on with members whose certificates were exchanged, and without one whose certificate is a stranger's", async () => {
    const { words, peer } = await tlsFlags();
    const cluster = await secureCluster(words);
    await Promise.all(cluster.members.map((member) => member.start()));
    const third = cluster.member(3);
    await third.end("SIGKILL");
    const stranger = await clients.issue({ commonName: "member" });
    const strange = [`--peer-cert-file=${stranger.certFile}`, `--peer-key-file=${stranger.keyFile}`];
    third.launch(strange);
    await vi.waitFor(() => expect(cluster.member(1).log).toContain("signed by unknown authority"), { timeout: 15_000 });
    expect(third.log).not.toContain("ready to serve client requests");
    await third.end("SIGKILL");
    const fresh = await peers.issue({ commonName: "member" });
    writeFileSync(peer.certFile, fresh.cert);
    writeFileSync(peer.keyFile, fresh.key);
    await third.start();
    // The others have not been restarted: they show the new certificate, and take it.
    await vi.waitFor(() => expect(cluster.member(1).log).toContain("TLS files have changed and are in use now"));
  });
});

onOurCluster("A member with TLS", ({ program, flags }) => {
  const members: Member[] = [];
  let authority: Authority;

  beforeAll(async () => {
    authority = await Authority.create("any");
  });

  afterEach(async () => {
    await Promise.all(members.splice(0).map((member) => member.dispose()));
  });

  afterAll(() => authority.remove());

  it("does not start with certificates that are no good, says so in one line, and leaves no data", async () => {
    const [one, other] = [await authority.issue(), await authority.issue()];
    const cases: [string[], string][] = [
      [[], "which needs --cert-file and --key-file, or --auto-tls"],
      [["--cert-file=/nowhere.crt", `--key-file=${one.keyFile}`], "--cert-file=/nowhere.crt cannot be read: ENOENT"],
      [[`--cert-file=${one.certFile}`, `--key-file=${other.keyFile}`], "is not the key of the certificate in"],
    ];
    await Promise.all(
      cases.map(async ([words, reason]) => {
        const member = await Member.create(program, [...flags, ...words], "https");
        members.push(member);
        member.launch();
        expect(await member.gone()).toBe(1);
        const errors = member.log.split("\n").filter((line) => line.includes('"level":"error"'));
        expect(errors).toHaveLength(1);
        expect(errors[0]).toContain(reason);
        expect(existsSync(join(member.dataDir, "member"))).toBe(false);
      }),
    );
  });

  it("makes certificates of its own for both sides, and members that do talk to each other", async () => {
    const own = ["--auto-tls", "--peer-auto-tls", "--self-signed-cert-validity=2"];
    const cluster = await Cluster.create({
      program,
      size: 2,
      scheme: "https",
      flags: [...flags, ...quickTicks, ...own],
    });
    members.push(...cluster.members);
    await Promise.all(cluster.members.map((member) => member.start()));
    const caFile = join(cluster.member(1).dataDir, "fixtures", "client", "cert.pem");
    const said = await etcdctl([`https://${cluster.member(1).endpoint}`], "--cacert", caFile, "put", "a", "1");
    expect(said.out).toBe("OK\n");
  });
});

function outcome(socket: Socket, words: string): Promise<"in" | "out"> {
  return new Promise((resolve) => {
    socket.on("error", () => undefined);
    socket.once("data", (chunk: Buffer) => {
      // The fourth byte of a frame is its type; the server begins with its settings.
      resolve(chunk[3] === 4 ? "in" : "out");
      socket.destroy();
    });
    socket.once("close", () => resolve("out"));
    socket.write(words);
  });
}
