/** Users by their certificates, with etcdctl, against ours and a real etcd: who is who, and which name counts. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { etcdctl } from "../../cluster/etcdctl.js";
import { Authority, type Issued } from "../../support/certificates.js";
import { onClusterTargets } from "../../support/cluster-targets.js";
import { Member } from "../../support/member.js";
import { realEtcdDirectory } from "../../support/real-etcd.js";

onClusterTargets("Users by certificate", ({ program, flags }) => {
  let authority: Authority;
  const certificates = new Map<string, Issued>();

  beforeAll(async () => {
    authority = await Authority.create("users");
    for (const name of ["root", "alice", "nobody"]) {
      certificates.set(name, await authority.issue({ commonName: name }));
    }
    certificates.set("", await authority.issue());
  });

  afterAll(() => authority.remove());

  async function start(more: readonly string[]): Promise<Member & AsyncDisposable> {
    const server = await authority.issue();
    const files = [`--cert-file=${server.certFile}`, `--key-file=${server.keyFile}`];
    const trust = [`--trusted-ca-file=${authority.caFile}`, "--bcrypt-cost=4"];
    const member = await Member.create(program, [...flags, ...files, ...trust, ...more], "https");
    await member.start();
    return Object.assign(member, { [Symbol.asyncDispose]: () => member.dispose() });
  }

  /** What etcdctl says to somebody with this certificate. */
  async function as(member: Member, name: string, ...args: readonly string[]): Promise<string> {
    const { certFile = "", keyFile = "" } = certificates.get(name) ?? {};
    const words = ["--cacert", authority.caFile, "--cert", certFile, "--key", keyFile, "--command-timeout", "10s"];
    const { code, out, problem } = await etcdctl([`https://${member.endpoint}`], ...words, ...args);
    return code === 0 ? out : problem;
  }

  async function setUp(member: Member): Promise<void> {
    const steps = [
      ["user", "add", "root", "--no-password"],
      ["user", "grant-role", "root", "root"],
      ["user", "add", "alice", "--no-password"],
      ["user", "add", "bob:secret"],
      ["role", "add", "writer"],
      ["role", "grant-permission", "writer", "readwrite", "a", "b"],
      ["user", "grant-role", "alice", "writer"],
      ["auth", "enable"],
    ];
    for (const step of steps) expect(await as(member, "root", ...step)).not.toContain("Error");
  }

  it.skipIf(realEtcdDirectory === undefined)(
    "are who their certificates say, unless they log in as somebody else",
    async () => {
      await using member = await start(["--client-cert-auth"]);
      await setUp(member);
      expect(await as(member, "alice", "put", "a1", "1")).toBe("OK\n");
      expect(await as(member, "alice", "put", "c1", "1")).toContain("etcdserver: permission denied");
      expect(await as(member, "root", "put", "c1", "1")).toBe("OK\n");
      expect(await as(member, "root", "user", "list")).toBe("alice\nbob\nroot\n");
      expect(await as(member, "alice", "user", "list")).toContain("etcdserver: permission denied");
      expect(await as(member, "nobody", "put", "a1", "1")).toContain("etcdserver: permission denied");
      // Nobody here; a user without a name in etcd, who may do as little.
      expect(await as(member, "", "put", "a1", "1")).toMatch(/user name is empty|permission denied/);
      expect(await as(member, "root", "--user", "bob:secret", "put", "c1", "1")).toContain("permission denied");
    },
  );

  it.skipIf(realEtcdDirectory === undefined)(
    "are nobody where certificates are demanded, but not as names",
    async () => {
      await using member = await start([]);
      await setUp(member);
      for (const name of ["alice", "root"]) {
        expect(await as(member, name, "put", "a1", "1")).toContain("etcdserver: user name is empty");
      }
    },
  );
});
