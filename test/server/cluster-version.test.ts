/** What a cluster's version becomes, from those of its members. */
import { expect, it } from "vitest";
import { nextVersion, type VersionFacts } from "../../src/server/cluster-version.js";

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
