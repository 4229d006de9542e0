/** The Cluster service: what it checks itself, what it asks of the replica, what it answers. */
import { afterEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { like } from "./wire.js";
import { clusterId, memberId, soleMember, worlds } from "./world.js";

const world = worlds(afterEach);
const learner = { ...soleMember, id: 5n, name: "", peerUrls: ["http://localhost:3380"], clientUrls: [], learner: true };

describe("the member list", () => {
  it("is sorted by id, its header has no revision", async () => {
    const { services, context } = world({ members: [soleMember, learner] });
    const { header, members } = await services.cluster.memberList({ linearizable: false }, context());
    expect(header).toEqual({ clusterId, memberId, revision: 0n, raftTerm: 2n });
    expect(members).toEqual([
      { ID: 5n, name: "", peerURLs: ["http://localhost:3380"], clientURLs: [], isLearner: true },
      {
        ID: memberId,
        name: "one",
        peerURLs: ["http://localhost:2380"],
        clientURLs: ["http://localhost:2379"],
        isLearner: false,
      },
    ]);
  });

  it("waits for the barrier only when asked to", async () => {
    const { services, context, replica } = world();
    replica.refusal = status.Timeout;
    await services.cluster.memberList({ linearizable: false }, context());
    const linearizable = services.cluster.memberList({ linearizable: true }, context());
    await expect(linearizable).rejects.toMatchObject(like(status.Timeout));
  });
});

describe("peer URLs", () => {
  it.each<[string[]]>([
    [[]],
    [[""]],
    [["bad"]],
    [["http://h"]],
    [["http://h:1/path"]],
    [["http://h:1/"]],
    [["ftp://h:2380"]],
    [["h:2380"]],
    [["http://[::1"]],
    [["http://%zz:1"]],
    [["http://a:b"]],
    [["http://a:70000"]],
    [["http://a b:1"]],
    [["unix://"]],
    [["\0"]],
    [["http://h:1", "bad"]],
  ])("%j are refused by add and update", async (peerURLs) => {
    const { services, context } = world();
    const add = services.cluster.memberAdd({ peerURLs, isLearner: false }, context());
    await expect(add).rejects.toMatchObject(like(status.MemberBadURLs));
    const update = services.cluster.memberUpdate({ ID: memberId, peerURLs }, context());
    await expect(update).rejects.toMatchObject(like(status.MemberBadURLs));
  });

  it.each<[string[]]>([
    [["http://h:1"]],
    [[" https://10.0.0.1:2380 "]],
    [["http://[::1]:2380"]],
    [["unix://socket:1", "unixs:///run/peer.sock"]],
    [["http://host_name.example:2380"]],
  ])("%j are good, and lose the spaces around them", async (peerURLs) => {
    const { services, context, replica } = world();
    await services.cluster.memberAdd({ peerURLs, isLearner: true }, context());
    await services.cluster.memberUpdate({ ID: memberId, peerURLs }, context());
    const urls = peerURLs.map((url) => url.trim()).join(",");
    expect(replica.changes).toEqual([`add learner ${urls}`, `update ${memberId} ${urls}`]);
  });
});

describe("a change", () => {
  it("is asked of the replica and answered with the members", async () => {
    const { services, context, replica } = world({ members: [soleMember, learner] });
    const { cluster } = services;
    const header = { clusterId, memberId, revision: 0n, raftTerm: 2n };
    const { members } = await cluster.memberList({ linearizable: false }, context());
    const added = await cluster.memberAdd({ peerURLs: ["http://h:1"], isLearner: false }, context());
    expect(added).toEqual({
      header,
      members,
      member: { ID: 9n, name: "", peerURLs: ["http://h:1"], clientURLs: [], isLearner: false },
    });
    expect(await cluster.memberRemove({ ID: 5n }, context())).toEqual({ header, members });
    expect(await cluster.memberUpdate({ ID: 5n, peerURLs: ["http://h:2"] }, context())).toEqual({ header, members });
    expect(await cluster.memberPromote({ ID: 5n }, context())).toEqual({ header, members });
    expect(replica.changes).toEqual(["add voter http://h:1", "remove 5", "update 5 http://h:2", "promote 5"]);
  });

  it("fails as the replica says", async () => {
    const { services, context, replica } = world();
    replica.refusal = status.Unhealthy;
    const { cluster } = services;
    for (const call of [
      cluster.memberAdd({ peerURLs: ["http://h:1"], isLearner: false }, context()),
      cluster.memberRemove({ ID: 5n }, context()),
      cluster.memberUpdate({ ID: 5n, peerURLs: ["http://h:2"] }, context()),
      cluster.memberPromote({ ID: 5n }, context()),
    ]) {
      await expect(call).rejects.toMatchObject(like(status.Unhealthy));
    }
  });
});
