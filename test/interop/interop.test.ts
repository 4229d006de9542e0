/**
 * Strangers meet: etcdctl drives litecd, and litectl drives a real etcd. Each story is also played by etcdctl against
 * the real etcd, and that transcript is what the others must equal. Needs LITECD_TEST_ETCD, the folder of a real etcd.
 */
import { describe, expect, it } from "vitest";
import { etcdIn, litecd, Member, type Program } from "../support/member.js";
import { type Exchange, etcdctlIn, litectl, Session } from "./session.js";
import { type Story, stories } from "./stories.js";

const etcdDirectory = process.env["LITECD_TEST_ETCD"];
if (etcdDirectory === undefined && process.env["CI"] === "true") throw new Error("LITECD_TEST_ETCD must be set in CI");
const [etcd, etcdctl] = [etcdIn(etcdDirectory ?? ""), etcdctlIn(etcdDirectory ?? "")];

const storyMsMax = 60_000;

/** Plays a story on a fresh member and returns its transcript. */
async function play(story: Story, { tool, server }: { tool: Program; server: Program }): Promise<readonly Exchange[]> {
  await using member = await Member.create(server);
  await member.start();
  const session = new Session(tool, { endpoint: member.endpoint, directory: member.directory });
  try {
    await story.play(session, member.directory);
    return session.transcript;
  } finally {
    session.close();
  }
}

const originals = new Map<Story, Promise<readonly Exchange[]>>();

/** The story as etcdctl and a real etcd tell it. */
function original(story: Story): Promise<readonly Exchange[]> {
  const played = originals.get(story) ?? play(story, { tool: etcdctl, server: etcd });
  originals.set(story, played);
  return played;
}

/** litectl prints what etcdctl 3.7 prints; these are the places in our stories where that of 3.5 was shorter. */
function asEtcdctl35({ stdout, ...rest }: Exchange): Exchange {
  const older = stdout
    .replace(/("Created":\w+),"CancelReason":""/g, "$1")
    .replace(/(Finished defragmenting etcd member\[.*?\])\. took \S+/g, "$1");
  return { ...rest, stdout: older };
}

const title = etcdDirectory === undefined ? "interop (skipped: LITECD_TEST_ETCD is not set)" : "interop";

describe.skipIf(etcdDirectory === undefined).each(stories)(`${title}: $name`, (story) => {
  it("goes as it should between etcdctl and etcd", { timeout: storyMsMax }, async () => {
    const told = (await original(story)).map(({ stdout, errors }) => [stdout, ...errors].join("\n")).join("");
    for (const text of story.shows) expect(told).toContain(text);
  });

  it("goes the same between etcdctl and litecd", { timeout: storyMsMax }, async () => {
    expect(await play(story, { tool: etcdctl, server: litecd })).toEqual(await original(story));
  });

  it("goes the same between litectl and etcd", { timeout: storyMsMax }, async () => {
    const told = await play(story, { tool: litectl, server: etcd });
    expect(told.map(asEtcdctl35)).toEqual(await original(story));
  });
});
