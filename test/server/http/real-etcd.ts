/** Finds the real etcd that some tests compare with. Without one they are skipped, except in CI, where they fail. */
import { describe } from "vitest";
import { etcdIn, Member } from "../../support/member.js";

const directory = process.env["LITECD_TEST_ETCD"];
const mayBeMissing = process.env["CI"] !== "true";

/** A suite that needs a real etcd of the 3.5 series. */
export function describeWithEtcd(name: string, body: () => void): void {
  if (directory === undefined && mayBeMissing) describe.skip(`${name} (LITECD_TEST_ETCD names no real etcd)`, body);
  else describe(name, body);
}

/** A running etcd; disposing of it ends it. */
export async function startEtcd(flags: readonly string[] = []): Promise<Member> {
  if (directory === undefined) throw new Error("LITECD_TEST_ETCD must name a directory with a real etcd");
  const member = await Member.create(etcdIn(directory), ["--unsafe-no-fsync", ...flags]);
  await member.start();
  return member;
}
