/** A member with something of everything in it, and the snapshot of it that the tests work on. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { litecd, Member } from "../../support/member.js";
import { litectl } from "../captured.js";

/** stdout of a command line that must succeed. */
export async function run(...argv: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await litectl(argv);
  if (exitCode !== 0) throw new Error(`${argv.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout;
}

/** A response as JSON; numbers beyond 53 bits are not looked at by these tests. */
export async function ask(endpoint: string, ...argv: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await run(...argv, "--endpoints", endpoint, "-w", "json")) as Record<string, unknown>;
}

/** Revision 7, compacted at 4: two keys, one of them with a lease; one key deleted; a user and a role. */
export async function fill(endpoint: string): Promise<{ leaseId: string }> {
  const at = ["--endpoints", endpoint];
  await run("put", "foo", "old", ...at);
  await run("put", "foo", "bar", ...at);
  await run("put", "gone", "x", ...at);
  await run("del", "gone", ...at);
  const leaseId = / ([0-9a-f]{16}) /.exec(await run("lease", "grant", "6000", ...at))?.[1] ?? "";
  await run("put", "leased", "v", "--lease", leaseId, ...at);
  await run("put", "foo", "baz", ...at);
  await run("compaction", "4", ...at);
  await run("user", "add", "ann", "--no-password", ...at);
  await run("role", "add", "reader", ...at);
  await run("user", "grant-role", "ann", "reader", ...at);
  return { leaseId };
}

/** A filled member that runs, with a snapshot of it. Whoever makes it disposes of it. */
export class FilledMember implements AsyncDisposable {
  readonly member: Member;
  /** For whatever a test writes. */
  readonly directory: string;
  readonly leaseId: string;

  private constructor(member: Member, directory: string, leaseId: string) {
    this.member = member;
    this.directory = directory;
    this.leaseId = leaseId;
  }

  static async start(): Promise<FilledMember> {
    const member = await Member.create(litecd, ["--unsafe-no-fsync"]);
    const directory = await mkdtemp(join(tmpdir(), "litecd-utl-"));
    try {
      await member.start();
      const { leaseId } = await fill(member.endpoint);
      await run("snapshot", "save", join(directory, "s.db"), "--endpoints", member.endpoint);
      return new FilledMember(member, directory, leaseId);
    } catch (error) {
      await member.dispose();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get snapshot(): string {
    return this.path("s.db");
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.member.dispose();
    await rm(this.directory, { recursive: true, force: true });
  }
}
