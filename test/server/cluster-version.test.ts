/** What a cluster's version becomes, from those of its members, and who may write it. */
import { afterEach, expect, it } from "vitest";
import { ClusterVersion, nextVersion, type VersionFacts } from "../../src/server/cluster-version.js";
import { silentLogger } from "../../src/server/runtime/logger.js";
import { ClusterWorld, type Life, patient } from "./replica/cluster-world.js";

let world = new ClusterWorld();

afterEach(() => world.close());

/** Reviews the version at a member whose questions to the others are answered when the test says so. */
function reviewAt({ replica }: Life) {
  const answering = new AbortController();
  const asked = new Promise((resolve) => answering.signal.addEventListener("abort", resolve));
  const versions = new ClusterVersion({
    replica,
    peers: { ask: () => asked.then(() => ({ kind: undefined })) },
    clock: world.clock,
    logger: silentLogger,
    serverVersion: "3.7.0",
    onVersion: () => undefined,
  });
  versions.start();
  return { versions, answer: () => answering.abort() };
}

it("is decided by the leader", async () => {
  world = new ClusterWorld();
  world.found(3);
  const leader = await world.leader();
  const { versions, answer } = reviewAt(leader);
  answer();
  const decided = (): boolean => world.running().every(({ replica }) => replica.state.clusterVersion() === "3.7.0");
  await world.until(decided, "all members know the version");
  versions.stop();
});

it("is not written through another leader by one that was deposed while it asked", async () => {
  world = new ClusterWorld();
  world.found(3);
  const leader = await world.leader();
  const { versions, answer } = reviewAt(leader);
  const successor = await world.follower();
  await world.settle(leader.replica.members.transfer(successor.id, patient()));
  answer();
  await world.run(500);
  expect(world.running().map(({ replica }) => replica.state.clusterVersion())).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  versions.stop();
});

it.each<[string, string | undefined, VersionFacts, string | undefined]>([
  [
    "a new cluster takes the lowest version there is",
    undefined,
    { versions: ["3.7.0", "3.6.9", "3.7.1"], downgradeTarget: undefined },
    "3.6.0",
  ],
  [
    "a new cluster does not wait for all",
    undefined,
    { versions: ["3.7.0", undefined], downgradeTarget: undefined },
    "3.7.0",
  ],
  ["nobody's version is no version", undefined, { versions: [undefined], downgradeTarget: undefined }, undefined],
  [
    "it rises when all have risen",
    "3.6.0",
    { versions: ["3.7.0", "3.7.2", "3.10.0"], downgradeTarget: undefined },
    "3.7.0",
  ],
  ["minor versions are numbers", "3.9.0", { versions: ["3.10.0", "3.10.1"], downgradeTarget: undefined }, "3.10.0"],
  ["it stays while one is behind", "3.6.0", { versions: ["3.7.0", "3.6.1"], downgradeTarget: undefined }, undefined],
  [
    "it stays while one does not answer",
    "3.6.0",
    { versions: ["3.7.0", undefined], downgradeTarget: undefined },
    undefined,
  ],
  ["it stays as it is", "3.7.0", { versions: ["3.7.0", "3.7.5"], downgradeTarget: undefined }, undefined],
  ["it does not fall by itself", "3.7.0", { versions: ["3.6.0", "3.6.0"], downgradeTarget: undefined }, undefined],
  [
    "it falls to what a downgrade goes to, once all are there",
    "3.7.0",
    { versions: ["3.6.4", "3.6.0"], downgradeTarget: "3.6.0" },
    "3.6.0",
  ],
  ["it does not fall below", "3.7.0", { versions: ["3.5.0", "3.6.0"], downgradeTarget: "3.6.0" }, undefined],
  [
    "it does not rise during a downgrade",
    "3.6.0",
    { versions: ["3.7.0", "3.7.0"], downgradeTarget: "3.6.0" },
    undefined,
  ],
])("%s", (_what, current, facts, next) => {
  expect(nextVersion(current, facts)).toBe(next);
});
