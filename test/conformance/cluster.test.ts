/** Conformance: the Cluster service of a cluster of one. What takes several members is in test/cluster. */

import { createHash } from "node:crypto";
import { expect } from "vitest";
import { status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { headerOf } from "./words.js";

const BAD_URLS: readonly (readonly string[])[] = [
  [],
  [""],
  ["bad"],
  ["http://host"],
  ["http://host:1/path"],
  ["ftp://host:2380"],
  ["host:2380"],
  ["http://host:2380", "bad"],
];

async function onlyMember(t: Context) {
  const [member] = (await t.client.memberList()).members;
  if (member === undefined) throw new Error("a cluster of one has a member");
  return member;
}

/** The first eight bytes of the SHA-1 of these parts, as etcd makes ids. */
function idOf(...parts: readonly (string | Buffer)[]): bigint {
  const sum = createHash("sha1");
  for (const part of parts) sum.update(part);
  return sum.digest().readBigUInt64BE(0);
}

conformance("Member list", (test) => {
  test("holds the one member with its name and URLs", async (t) => {
    const { members } = await t.client.memberList();
    expect(members).toHaveLength(1);
    expect(members[0]).toMatchObject({ name: expect.stringMatching(/./), isLearner: false });
    expect(members[0]?.peerURLs[0]).toMatch(/^http:\/\//);
    expect(members[0]?.clientURLs[0]).toMatch(/^http:\/\//);
  });

  test("the member's id is the one in every header", async (t) => {
    const { header, ID } = { ...(await t.client.memberList()), ...(await onlyMember(t)) };
    expect(ID).not.toBe(0n);
    expect(header?.memberId).toBe(ID);
  });

  test("linearizable or not, the answer is the same", async (t) => {
    const local = await t.client.memberList({ linearizable: false });
    const linearizable = await t.client.memberList({ linearizable: true });
    expect(linearizable.members).toEqual(local.members);
  });

  test("the header has no revision", async (t) => {
    await t.put("a");
    const header = headerOf(await t.client.memberList());
    expect(header.revision).toBe(0n);
    expect(header.raftTerm).toBeGreaterThan(0n);
    expect(header.clusterId).not.toBe(0n);
  });

  test("the member id comes from the peer URLs and the token, the cluster id from the member ids", async (t) => {
    const { ID, peerURLs } = await onlyMember(t);
    expect(ID).toBe(idOf([...peerURLs].toSorted((a, b) => (a < b ? -1 : 1)).join(""), "etcd-cluster"));
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(ID);
    expect(headerOf(await t.client.memberList()).clusterId).toBe(idOf(bytes));
  });
});

conformance("Member add", (test) => {
  for (const peerURLs of BAD_URLS) {
    test(`refuses the peer URLs ${JSON.stringify(peerURLs)}`, async (t) => {
      await t.rejects(t.client.memberAdd({ peerURLs: [...peerURLs] }), status.MemberBadURLs);
      await t.rejects(t.client.memberAdd({ peerURLs: [...peerURLs], isLearner: true }), status.MemberBadURLs);
    });
  }

  test("refuses the URL of the member there is", async (t) => {
    const { peerURLs } = await onlyMember(t);
    await t.rejects(t.client.memberAdd({ peerURLs }), status.PeerURLExist);
    await t.rejects(t.client.memberAdd({ peerURLs, isLearner: true }), status.PeerURLExist);
    expect((await t.client.memberList()).members).toHaveLength(1);
  });
});

conformance("Member add to a cluster of one", (test) => {
  const [second, third] = ["http://127.0.0.1:11", "http://127.0.0.1:12"];

  test(
    "takes a second member, and no third before that has started, with code UNKNOWN",
    async (t) => {
      const { member, members, header } = await t.client.memberAdd({ peerURLs: [second] });
      expect(member).toMatchObject({ name: "", peerURLs: [second], clientURLs: [], isLearner: false });
      expect(members.map(({ peerURLs }) => peerURLs[0])).toContain(second);
      expect(headerOf({ header }).revision).toBe(0n);
      await t.rejects(t.client.memberAdd({ peerURLs: [third] }), status.MemberNotEnoughStarted);
    },
    { fresh: true },
  );

  test(
    "takes a learner, and no second one, and promotes none that has not come",
    async (t) => {
      const { member } = await t.client.memberAdd({ peerURLs: [second], isLearner: true });
      await t.rejects(t.client.memberAdd({ peerURLs: [third], isLearner: true }), status.TooManyLearners);
      await t.rejects(t.client.memberPromote({ ID: member?.ID ?? 0n }), status.LearnerNotReady);
      await t.rejects(t.client.moveLeader({ targetID: member?.ID ?? 0n }), status.BadLeaderTransferee);
      const { members } = await t.client.memberRemove({ ID: member?.ID ?? 0n });
      expect(members).toHaveLength(1);
      await t.rejects(t.client.memberRemove({ ID: member?.ID ?? 0n }), status.MemberNotFound);
    },
    { fresh: true },
  );
});

conformance("Member remove, update and promote", (test) => {
  for (const ID of [0n, 12345n, 2n ** 64n - 1n]) {
    test(`know no member ${ID}`, async (t) => {
      await t.rejects(t.client.memberRemove({ ID }), status.MemberNotFound);
      await t.rejects(t.client.memberPromote({ ID }), status.MemberNotFound);
      const peerURLs = ["http://127.0.0.1:12380"];
      await t.rejects(t.client.memberUpdate({ ID, peerURLs }), status.MemberNotFound);
    });
  }

  test("remove refuses to take the only voter, with code UNKNOWN", async (t) => {
    const { ID } = await onlyMember(t);
    await t.rejects(t.client.memberRemove({ ID }), status.MemberNotEnoughStarted);
    expect((await t.client.memberList()).members).toHaveLength(1);
  });

  test("promote refuses a voter", async (t) => {
    const { ID } = await onlyMember(t);
    await t.rejects(t.client.memberPromote({ ID }), status.MemberNotLearner);
  });

  for (const peerURLs of BAD_URLS) {
    test(
      `update refuses the peer URLs ${JSON.stringify(peerURLs)}`,
      async (t) => {
        const { ID } = await onlyMember(t);
        await t.rejects(t.client.memberUpdate({ ID, peerURLs: [...peerURLs] }), status.MemberBadURLs);
        await t.put("a");
      },
      { oursOnly: "etcd takes any text and ends, again at each restart, when it cannot parse it" },
    );
  }
});
