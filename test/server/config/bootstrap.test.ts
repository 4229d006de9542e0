/** Who a member without data becomes: by what it is told and by what a running cluster says. */
import { describe, expect, it } from "vitest";
import {
  type ClusterView,
  foundingProblem,
  joiningIdentity,
  otherPeerUrls,
  type ViewedMember,
} from "../../../src/server/config/bootstrap.js";
import { memberIdOf } from "../../../src/server/config/identity.js";
import { configOf } from "./parse.js";

const url = { a: "http://h:1", b: "http://h:2", c: "http://h:3" };
const line = `--name c --initial-advertise-peer-urls ${url.c} --initial-cluster a=${url.a},b=${url.b},c=${url.c}`;
const config = configOf(line);
const ours = "3.7.0";

function viewed(id: bigint, peerUrl: string, more: Partial<ViewedMember> = {}): ViewedMember {
  return { id, peerUrls: [peerUrl], clientUrls: ["http://h:9"], learner: false, ...more };
}

const added = viewed(3n, url.c, { clientUrls: [] });

function view(more: Partial<ClusterView> = {}): ClusterView {
  const members = [viewed(1n, url.a), viewed(2n, url.b), added];
  return { clusterId: 77n, members, clusterVersion: "3.7.0", removed: [], ...more };
}

describe("a member that joins", () => {
  it("asks all the others", () => {
    expect(otherPeerUrls(config)).toEqual([url.a, url.b]);
    expect(otherPeerUrls(configOf("--name alone"))).toEqual([]);
  });

  it("is who its peer URLs say, whatever names the flags use", () => {
    expect(joiningIdentity(config, [view()], ours)).toEqual({ clusterId: 77n, memberId: 3n });
  });

  it("takes a cluster without a version yet, and one that is behind", () => {
    for (const clusterVersion of ["", "3.6.0", "3.7.0"]) {
      expect(joiningIdentity(config, [view({ clusterVersion })], ours)).toMatchObject({ memberId: 3n });
    }
  });

  it.each<[string, Partial<ClusterView>, RegExp]>([
    ["fewer members", { members: [viewed(1n, url.a), added] }, /member count is unequal \(3 in .*, 2 in the cluster\)/],
    [
      "another URL",
      { members: [viewed(1n, url.a), viewed(2n, "http://x:2"), added] },
      /no match found .*\(2, http:\/\/x:2\)/,
    ],
    ["a newer version", { clusterVersion: "3.8.0" }, /incompatible with current running cluster.*3\.8\.0.*3\.7\.0/],
    ["another major version", { clusterVersion: "2.3.0" }, /incompatible/],
    [
      "itself as a member that was there before",
      { members: [viewed(1n, url.a), viewed(2n, url.b), viewed(3n, url.c)] },
      /member 3 has already been bootstrapped/,
    ],
    ["its id among the removed", { removed: [3n] }, /member 3 has been permanently removed/],
    [
      "too many learners",
      { members: [viewed(1n, url.a), viewed(2n, url.b, { learner: true }), { ...added, learner: true }] },
      /2 learners, but --max-learners is 1/,
    ],
  ])("refuses a cluster with %s", (_what, more, text) => {
    expect(joiningIdentity(config, [view(more)], ours)).toMatch(text);
  });
});

describe("a member that joins, and whom some members know better than others", () => {
  const unaware = view({ members: [viewed(1n, url.a), viewed(2n, url.b)] });
  const refusing = view({ members: [viewed(1n, url.a), viewed(2n, url.b), viewed(3n, url.c)] });
  const removing = view({ members: [viewed(1n, url.a), viewed(2n, url.b)], removed: [3n] });

  it("is let in by one that has heard of it", () => {
    for (const views of [
      [unaware, view()],
      [view(), unaware],
    ]) {
      expect(joiningIdentity(config, views, ours)).toEqual({ clusterId: 77n, memberId: 3n });
    }
  });

  it("is refused when any of them knows that it was there before or was removed, in whatever order they answer", () => {
    for (const views of [
      [view(), refusing],
      [refusing, view()],
    ]) {
      expect(joiningIdentity(config, views, ours)).toMatch(/member 3 has already been bootstrapped/);
    }
    for (const views of [
      [view(), removing],
      [removing, view()],
    ]) {
      expect(joiningIdentity(config, views, ours)).toMatch(/member 3 has been permanently removed/);
    }
  });

  it("comes as the member that took the place of one at the same URL", () => {
    const readded = view({ members: [viewed(1n, url.a), viewed(2n, url.b), { ...added, id: 4n }], removed: [3n] });
    for (const views of [
      [refusing, readded],
      [readded, view()],
      [view(), readded],
    ]) {
      expect(joiningIdentity(config, views, ours)).toEqual({ clusterId: 77n, memberId: 4n });
    }
  });
});

describe("a founder", () => {
  const memberId = memberIdOf([url.c], "etcd-cluster");

  it("founds when the others do not know it, or know it and have never seen it", () => {
    expect(foundingProblem(config, view())).toBeUndefined();
    expect(foundingProblem(config, view({ members: [viewed(memberId, url.c, { clientUrls: [] })] }))).toBeUndefined();
  });

  it("does not when it has been there before and has lost its data", () => {
    const members = [viewed(1n, url.a), viewed(memberId, url.c)];
    expect(foundingProblem(config, view({ members }))).toBe(
      `member ${memberId.toString(16)} has already been bootstrapped`,
    );
    expect(foundingProblem(config, view({ removed: [memberId] }))).toMatch(/permanently removed/);
  });
});
