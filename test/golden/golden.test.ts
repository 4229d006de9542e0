/**
 * Replays etcdctl's recorded transcripts with litectl, against a real etcd and against litecd. Needs LITECD_GOLDEN (the
 * folder of the transcripts, with replay.py in it) and LITECD_TEST_ETCD (the folder of a real etcd). LITECD_GOLDEN_ONLY
 * chooses scenarios by pattern; LITECD_GOLDEN_RAISE=1 adds what passes to the sets that must.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { expectedFailures, mustPass, type Opponent, raise, unlisted, worthReplaying } from "./ratchet.js";
import { type Replay, readVerdicts, replay, type Verdict } from "./replay.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const transcripts = process.env["LITECD_GOLDEN"];
const etcdDirectory = process.env["LITECD_TEST_ETCD"];
const only = new RegExp(process.env["LITECD_GOLDEN_ONLY"] ?? "");
const missing =
  transcripts === undefined ? "LITECD_GOLDEN" : etcdDirectory === undefined ? "LITECD_TEST_ETCD" : undefined;

const servers: Readonly<Record<Opponent, string>> = {
  etcd: join(etcdDirectory ?? "", "etcd"),
  litecd: `${process.execPath} ${join(root, "bin/litecd.js")}`,
};

const replayMsMax = 8 * 60_000;
// Both replays run at once, since most of a scenario is waiting. More scenarios at a time would slow the commands down
// until a lease of two seconds runs out between two of them.
const jobsMax = 3;
const portBases: Readonly<Record<Opponent, number>> = { etcd: 24_300, litecd: 24_600 };
const opponents = ["etcd", "litecd"] as const;

// The transcripts' waits were recorded with a CLI that starts in 15 ms; ours takes ten times that.
const slow = 2;
/** What is printed every 30 s depends on the wait itself, so that must stay as it was. */
const isTimed = (name: string): boolean => name === "mirror-progress";

const scenariosOf = (opponent: Opponent): string[] =>
  worthReplaying(transcripts ?? "", opponent).filter((name) => only.test(name));

type Common = Omit<Replay, "scenarios" | "jobs" | "slow">;

/** Replays all, and what should have passed but failed once more, alone: some scenarios depend on a second's timing. */
async function replayTwice(opponent: Opponent): Promise<ReadonlyMap<string, Verdict>> {
  const common = {
    transcripts: transcripts ?? "",
    ctl: `${process.execPath} ${join(root, "bin/litectl.js")}`,
    server: servers[opponent],
    referenceCtl: join(etcdDirectory ?? "", "etcdctl"),
    portBase: portBases[opponent],
  };
  const scenarios = scenariosOf(opponent);
  const first = await replayAll(common, scenarios);
  const failed = mustPass(opponent).filter((name) => first.get(name)?.outcome === "failed");
  if (failed.length === 0) return first;
  console.log(`${opponent}: once more, one at a time: ${failed.join(" ")}`);
  return new Map([...first, ...(await replayAll(common, failed, 1))]);
}

/** The timed ones beside the others, on ports of their own. */
async function replayAll(common: Common, scenarios: readonly string[], jobs = jobsMax): Promise<Map<string, Verdict>> {
  const timed = { ...common, slow: 1, jobs: 1, portBase: common.portBase + 250, scenarios: scenarios.filter(isTimed) };
  const others = { ...common, slow, jobs, scenarios: scenarios.filter((name) => !isTimed(name)) };
  const replays = [timed, others].filter((each) => each.scenarios.length > 0).map(replay);
  return new Map((await Promise.all(replays)).flatMap((verdicts) => [...verdicts]));
}

const replays = new Map<Opponent, Promise<ReadonlyMap<string, Verdict>>>();

/** The verdicts of one replay; whoever asks first starts both. */
function verdictsOf(opponent: Opponent): Promise<ReadonlyMap<string, Verdict>> {
  if (replays.size === 0) {
    for (const each of opponents) {
      const started = replayTwice(each);
      // Whoever asks for it later learns of its failure then.
      started.catch(() => undefined);
      replays.set(each, started);
    }
  }
  return replays.get(opponent) ?? Promise.reject(new Error(`nobody replays against ${opponent}`));
}

describe.each(opponents)("litectl against %s", (opponent) => {
  if (missing !== undefined) {
    it.skip(`says what etcdctl says (${missing} is not set)`, () => undefined);
    return;
  }
  let verdicts: ReadonlyMap<string, Verdict> = new Map();

  beforeAll(async () => {
    if (!existsSync(join(root, "dist/cli/main.js"))) throw new Error("dist is not built: run npm run build");
    verdicts = await verdictsOf(opponent);
    reportUnlisted(opponent, verdicts);
  }, replayMsMax);

  it("gives a verdict on every scenario that is replayed", () => {
    expect(verdicts.size).toBeGreaterThan(0);
    expect([...verdicts.keys()]).toEqual(expect.arrayContaining(mustPass(opponent).filter((name) => only.test(name))));
  });

  it.each(mustPass(opponent).filter((name) => only.test(name)))("%s", (name) => {
    const { outcome, detail } = verdicts.get(name) ?? { outcome: "never replayed", detail: "" };
    expect(outcome, detail).toBe("passed");
  });
});

/** Says which scenarios pass that are not held yet, and holds them if asked to. */
function reportUnlisted(opponent: Opponent, verdicts: ReadonlyMap<string, Verdict>): void {
  const passed = [...verdicts].filter(([, { outcome }]) => outcome === "passed").map(([name]) => name);
  const failed = [...verdicts].filter(([, { outcome }]) => outcome === "failed");
  const fresh = unlisted(opponent, passed);
  console.log(`${opponent}: ${passed.length} of ${verdicts.size} scenarios pass`);
  if (fresh.length > 0) {
    console.log(`${opponent}: these pass and are not held yet; LITECD_GOLDEN_RAISE=1 adds them: ${fresh.join(" ")}`);
  }
  for (const [name, { detail }] of failed) {
    if (!mustPass(opponent).includes(name)) console.log(`${opponent}: not held and fails: ${name}\n${detail}`);
  }
  if (process.env["LITECD_GOLDEN_RAISE"] === "1") raise(opponent, fresh);
}

describe("the sets of scenarios", () => {
  it("ask nothing of a real etcd that it is known to fail", () => {
    expect(mustPass("etcd").filter((name) => name in expectedFailures)).toEqual([]);
  });
});

describe("reading the replayer", () => {
  it("tells passed, failed with its differences, and skipped", () => {
    const verdicts = readVerdicts([
      "FAIL get-missing",
      "  step 2 [etcdctl get nothing]",
      "    -expected",
      "    +actual",
      "ok   put-simple                                    0.6s",
      "skip utl-defrag (no --utl)",
      "1 passed, 1 failed",
    ]);
    expect(Object.fromEntries(verdicts)).toEqual({
      "get-missing": { outcome: "failed", detail: "\n  step 2 [etcdctl get nothing]\n    -expected\n    +actual" },
      "put-simple": { outcome: "passed", detail: "0.6s" },
      "utl-defrag": { outcome: "skipped", detail: "(no --utl)" },
    });
  });
});
