/** The Cluster service of a server that does not change its membership yet. */
import { afterEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { like } from "./wire.js";
import { clusterId, memberId, soleMember, worlds } from "./world.js";

const world = worlds(afterEach);
const learner = { ...soleMember, id: 5n, name: "", peerUrls: ["http://localhost:3380"], clientUrls: [], learner: true };
const voter = { ...learner, id: 6n, peerUrls: ["http://localhost:4380"], learner: false };

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
  ])("%j are good, and end at what this server cannot do yet", async (peerURLs) => {
    const { services, context } = world();
    const add = services.cluster.memberAdd({ peerURLs, isLearner: true }, context());
    await expect(add).rejects.toMatchObject(like(status.NotCapable));
    const update = services.cluster.memberUpdate({ ID: memberId, peerURLs }, context());
    await expect(update).rejects.toMatchObject(like(status.NotCapable));
  });

  it("of another member are in use; a member's own are not", async () => {
    const { services, context } = world({ members: [soleMember, learner] });
    const { peerUrls } = soleMember;
    const add = services.cluster.memberAdd({ peerURLs: [...peerUrls], isLearner: true }, context());
    await expect(add).rejects.toMatchObject(like(status.PeerURLExist));
    const update = (ID: bigint) => services.cluster.memberUpdate({ ID, peerURLs: [...peerUrls] }, context());
    await expect(update(5n)).rejects.toMatchObject(like(status.PeerURLExist));
    await expect(update(memberId)).rejects.toMatchObject(like(status.NotCapable));
    await expect(update(99n)).rejects.toMatchObject(like(status.MemberNotFound));
  });
});

describe("removing and promoting", () => {
  it("fail as in a cluster of one", async () => {
    const { services, context } = world();
    const { cluster } = services;
    await expect(cluster.memberRemove({ ID: 9n }, context())).rejects.toMatchObject(like(status.MemberNotFound));
    await expect(cluster.memberPromote({ ID: 9n }, context())).rejects.toMatchObject(like(status.MemberNotFound));
    const remove = cluster.memberRemove({ ID: memberId }, context());
    await expect(remove).rejects.toMatchObject(like(status.MemberNotEnoughStarted));
    const promote = cluster.memberPromote({ ID: memberId }, context());
    await expect(promote).rejects.toMatchObject(like(status.MemberNotLearner));
  });

  it("that would be possible are not, yet", async () => {
    const { services, context } = world({ members: [soleMember, learner, voter] });
    const { cluster } = services;
    for (const call of [
      cluster.memberRemove({ ID: learner.id }, context()),
      cluster.memberRemove({ ID: voter.id }, context()),
      cluster.memberPromote({ ID: learner.id }, context()),
    ]) {
      await expect(call).rejects.toMatchObject(like(status.NotCapable));
    }
  });
});
