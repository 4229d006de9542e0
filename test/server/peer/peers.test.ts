/** Messages between members over real sockets: what arrives, what is dropped, and what is said about it. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Message } from "../../../src/server/raft/types.js";
import { type Clock, systemClock } from "../../../src/server/runtime/clock.js";
import { startTcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import { freePort } from "../../support/free-ports.js";
import { append, clusterId, heartbeat, linkAll, proposal, startRoom, type TestRoom } from "./harness.js";
import { startThrottle } from "./throttle.js";

const patience = { timeout: 10_000, interval: 2 };

/** Waits until messages pass both ways. */
async function connected(...rooms: readonly TestRoom[]): Promise<void> {
  for (const { room, id } of rooms) {
    for (const other of rooms) {
      if (other.id !== id) await expect.poll(() => room.connectedSinceMs(other.id), patience).toBeDefined();
    }
  }
}

/** The rounds of the heartbeats that came. */
function rounds(room: TestRoom): readonly number[] {
  return room.ear.heard.flatMap((message) => (message.kind === "heartbeat" ? [message.readRound] : []));
}

/** Indexes of the appends that came. */
function indexes(room: TestRoom): readonly number[] {
  return room.ear.heard.flatMap((message) => (message.kind === "append" ? [message.previousIndex + 1] : []));
}

/** Sends heartbeats until one arrives. */
async function passes(from: TestRoom, to: TestRoom): Promise<void> {
  const before = rounds(to).length;
  await expect
    .poll(() => {
      from.room.send([heartbeat(from.id, to.id, 0)]);
      return rounds(to).length;
    }, patience)
    .toBeGreaterThan(before);
}

/** Lines of the log with this text. */
function said(room: TestRoom, text: string): number {
  return room.lines.filter((line) => line.includes(text)).length;
}

describe("messages", () => {
  it("are answered to a member that was not heard of, where it says it is, as long as it calls", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await expect.poll(() => b.room.connectedSinceMs(1n), patience).toBeDefined();
    await passes(b, a);
    const asked = (): Promise<string> =>
      b.room.ask(1n, { kind: { $case: "clusterView", value: {} } }, { timeoutMs: 1000 }).then(
        () => "answered",
        () => "no link",
      );
    expect(await asked()).toBe("answered");
    a.room.setMembers([]);
    await expect.poll(() => b.room.connectedSinceMs(1n), patience).toBeUndefined();
    await expect.poll(asked, patience).toBe("no link");
  });

  it("are answered to a member that has moved, where it says it is now", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    b.room.setMembers([{ id: 1n, peerUrls: [`http://127.0.0.1:${await freePort()}`] }]);
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await expect.poll(() => b.room.connectedSinceMs(1n), patience).toBeDefined();
    await passes(b, a);
  });

  it("are not answered to one that was removed", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n, { isRemoved: (id) => id === 1n });
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await expect.poll(() => a.ear.removedCount, patience).toBeGreaterThan(0);
    expect(said(b, "the link to a member stands")).toBe(0);
  });

  it("reach the members they are for, each lane in order", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    await using c = await startRoom(3n);
    linkAll([a, b, c]);
    await connected(a, b, c);
    for (let turn = 1; turn <= 50; turn += 1) {
      const toB = [append(1n, 2n, { index: turn, bytes: 40_000 }), heartbeat(1n, 2n, turn)];
      a.room.send([...toB, heartbeat(1n, 3n, turn)]);
    }
    const counted = Array.from({ length: 50 }, (_, offset) => offset + 1);
    await expect.poll(() => indexes(b), patience).toEqual(counted);
    await expect.poll(() => [rounds(b), rounds(c)], patience).toEqual([counted, counted]);
    expect(b.ear.heard.find((message) => message.kind === "append")).toEqual(
      append(1n, 2n, { index: 1, bytes: 40_000 }),
    );
    expect([a, b, c].flatMap(({ ear }) => ear.unreachableIds)).toEqual([]);
  });

  it("may be as large as an entry may be", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    linkAll([a, b]);
    await connected(a, b);
    const large = append(1n, 2n, { index: 1, bytes: 20 * 1024 * 1024 });
    a.room.send([large]);
    await expect.poll(() => b.ear.heard.length, patience).toBe(1);
    // toEqual would take its time with so many bytes.
    const [heard] = b.ear.heard;
    const [sent] = large.kind === "append" ? large.entries : [];
    const [came] = heard?.kind === "append" ? heard.entries : [];
    expect(Buffer.compare(came?.data ?? Buffer.alloc(0), sent?.data ?? Buffer.alloc(0))).toBe(0);
  });

  it("are heard only when there is somebody to hear them", async () => {
    await using a = await startRoom(1n, { electionMs: 2_000 });
    await using b = await startRoom(2n, { listener: undefined as never, electionMs: 2_000 });
    linkAll([a, b]);
    await connected(a, b);
    a.room.send([heartbeat(1n, 2n, 1)]);
    const before = b.room.connectedSinceMs(1n);
    b.room.attach(b.ear);
    a.room.send([heartbeat(1n, 2n, 2)]);
    await expect.poll(() => rounds(b).at(-1), patience).toBe(2);
    expect(b.room.connectedSinceMs(1n)).toBe(before);
  });

  it("of another member are never sent", async () => {
    await using a = await startRoom(1n);
    expect(() => a.room.send([heartbeat(5n, 2n, 1)])).toThrow("a message of another member is to be sent");
  });

  it("of a member that is not known yet are taken", async () => {
    await using a = await startRoom(1n);
    await using joiner = await startRoom(4n);
    joiner.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await passes(joiner, a);
    expect(joiner.room.connectedSinceMs(1n)).toBeUndefined();
  });

  it("to nobody are dropped in silence", async () => {
    await using a = await startRoom(1n);
    a.room.send([heartbeat(1n, 9n, 1)]);
    expect(a.ear.unreachableIds).toEqual([]);
  });

  it("do not wait behind a backlog of entries on a slow link", async () => {
    await using a = await startRoom(1n, { electionMs: 1_000 });
    await using b = await startRoom(2n, { electionMs: 1_000 });
    await using slow = await startThrottle(b.url, { bytesPerSecond: 3_000_000 });
    a.room.setMembers([{ id: 2n, peerUrls: [slow.url] }]);
    b.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await connected(a, b);
    const entries = Array.from({ length: 16 }, (_, offset) => append(1n, 2n, { index: offset + 1, bytes: 500_000 }));
    a.room.send(entries);
    await expect.poll(() => indexes(b).length, patience).toBeGreaterThan(0);
    const startMs = performance.now();
    a.room.send([heartbeat(1n, 2n, 1)]);
    await expect.poll(() => rounds(b), patience).toEqual([1]);
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect(indexes(b).length).toBeLessThan(entries.length);
    await expect.poll(() => indexes(b).length, patience).toBe(entries.length);
    expect(a.room.connectedSinceMs(2n)).toBeDefined();
  });
});

describe("a link that is down", () => {
  it("drops messages and says so, but not for each of them, and not in the middle of a turn", async () => {
    await using a = await startRoom(1n);
    a.room.setMembers([{ id: 2n, peerUrls: [`http://127.0.0.1:${await freePort()}`] }]);
    for (let turn = 1; turn <= 100; turn += 1) a.room.send([heartbeat(1n, 2n, turn)]);
    expect(a.ear.unreachableIds).toEqual([]);
    await expect.poll(() => a.ear.unreachableIds, patience).toEqual([2n]);
    expect(a.room.connectedSinceMs(2n)).toBeUndefined();
    expect(a.ear.refusals).toEqual([]);
  });

  it("stands again after it broke", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    await using proxy = await startTcpProxy(b.url);
    a.room.setMembers([{ id: 2n, peerUrls: [proxy.endpoint] }]);
    b.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await connected(a, b);
    const sinceMs = a.room.connectedSinceMs(2n) ?? 0;
    for (let round = 0; round < 3; round += 1) {
      proxy.cut();
      await expect.poll(() => a.ear.unreachableIds, patience).toContain(2n);
      await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeGreaterThan(sinceMs);
      await passes(a, b);
    }
    expect(a.ear.refusals).toEqual([]);
  });

  it("stands again when the peer comes back and calls, however long the pause between attempts", async () => {
    // The fourth pause of a lane is 400 ms, and never ends by itself here.
    let endlessPauses = 0;
    const clock: Clock = {
      ...systemClock,
      after: (delayMs, callback) => {
        if (delayMs < 400) return systemClock.after(delayMs, callback);
        if (delayMs === 400) endlessPauses += 1;
        return () => undefined;
      },
    };
    const random = { below: (bound: number) => bound - 1, bytes: () => new Uint8Array() };
    await using a = await startRoom(1n, { clock, random });
    const url = `http://127.0.0.1:${await freePort()}`;
    a.room.setMembers([{ id: 2n, peerUrls: [url] }]);
    await expect.poll(() => endlessPauses, patience).toBe(2);
    await using b = await startRoom(2n, { listenUrls: [url] });
    a.room.send([heartbeat(1n, 2n, 1)]);
    expect(b.ear.heard).toEqual([]);
    b.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await passes(a, b);
  });
});

describe("proposals for the leader", () => {
  it("that no link takes are given back, and nothing else is, and not in the middle of a turn", async () => {
    await using a = await startRoom(1n);
    a.room.setMembers([{ id: 2n, peerUrls: [`http://127.0.0.1:${await freePort()}`] }]);
    const first = proposal(1n, 2n, { requestId: 1, bytes: 10 });
    const second = proposal(1n, 9n, { requestId: 2, bytes: 10 });
    a.room.send([first, heartbeat(1n, 2n, 1), second, heartbeat(1n, 9n, 2)]);
    expect(a.ear.unsentProposals).toEqual([]);
    await Promise.resolve();
    expect(a.ear.unsentProposals).toEqual([first, second]);
  });

  it("that arrive are not given back", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    linkAll([a, b]);
    await connected(a, b);
    const arrives = proposal(1n, 2n, { requestId: 1, bytes: 10 });
    a.room.send([arrives]);
    await expect.poll(() => b.ear.heard, patience).toEqual([arrives]);
    expect(a.ear.unsentProposals).toEqual([]);
  });

  it("that wait behind others, or find no room, are given back when the link breaks; each one arrives, or is given back, or was on its way", async () => {
    await using a = await startRoom(1n, { electionMs: 5_000 });
    await using b = await startRoom(2n, { electionMs: 5_000 });
    await using proxy = await startTcpProxy(b.url);
    a.room.setMembers([{ id: 2n, peerUrls: [proxy.endpoint] }]);
    b.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await connected(a, b);
    proxy.flow({ requests: "hold" });
    const bytes = 1024 * 1024;
    const proposals = Array.from({ length: 40 }, (_, offset) => proposal(1n, 2n, { requestId: offset + 1, bytes }));
    for (const each of proposals) a.room.send([each]);
    await Promise.resolve();
    const givenBack = (): number[] => a.ear.unsentProposals.map(({ requestId }) => requestId);
    const refused = givenBack();
    // The first ones leave at once, 16 MiB wait.
    expect(refused.length).toBeGreaterThan(15);
    expect(refused).toEqual(proposals.slice(-refused.length).map(({ requestId }) => requestId));
    proxy.cut();
    await expect.poll(() => givenBack().length, patience).toBeGreaterThan(refused.length + 5);
    expect(new Set(givenBack()).size).toBe(givenBack().length);
    expect(givenBack()).not.toContain(1);
    expect(b.ear.heard.filter(({ kind }) => kind === "proposeForward")).toEqual([]);
  });
});

describe("a peer whose process is gone", () => {
  it("is reported within milliseconds, and as long as it is gone", async () => {
    await using a = await startRoom(1n);
    const b = await startRoom(2n);
    linkAll([a, b]);
    await connected(a, b);
    // Long enough for the link to count as steady.
    const sinceMs = performance.now();
    await expect.poll(() => performance.now() - sinceMs, patience).toBeGreaterThan(120);
    await b.room.close();
    const goneMs = performance.now();
    await expect.poll(() => a.ear.refusals.length, patience).toBeGreaterThan(2);
    const [first] = a.ear.refusals;
    expect(first).toMatchObject({ id: 2n });
    expect((first?.atMs ?? 0) - goneMs).toBeLessThan(200);
    expect(a.room.connectedSinceMs(2n)).toBeUndefined();
  });

  it("is not reported when only its connections broke", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    await using proxy = await startTcpProxy(b.url);
    a.room.setMembers([{ id: 2n, peerUrls: [proxy.endpoint] }]);
    await passes(a, b);
    proxy.admit("refuse");
    proxy.cut();
    // The proxy accepts and resets, as a host does whose process is there.
    await expect.poll(() => a.lines.some((line) => line.includes("no link to a member")), patience).toBe(true);
    expect(a.ear.refusals).toEqual([]);
  });

  it("is not reported while another of its URLs answers", async () => {
    await using a = await startRoom(1n);
    const dead = `http://127.0.0.1:${await freePort()}`;
    await using b = await startRoom(2n);
    await using proxy = await startTcpProxy(b.url);
    a.room.setMembers([{ id: 2n, peerUrls: [dead, proxy.endpoint] }]);
    await passes(a, b);
    proxy.cut();
    await passes(a, b);
    expect(a.ear.refusals).toEqual([]);
  });
});

describe("a peer that has gone silent", () => {
  it.each(["requests", "replies"] as const)(
    "(%s are swallowed) is not connected for long, and is dialled anew",
    async (way) => {
      await using a = await startRoom(1n);
      await using b = await startRoom(2n);
      await using proxy = await startTcpProxy(b.url);
      a.room.setMembers([{ id: 2n, peerUrls: [proxy.endpoint] }]);
      b.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
      await connected(a, b);
      proxy.flow({ [way]: "swallow" });
      const cutMs = performance.now();
      await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeUndefined();
      expect(performance.now() - cutMs).toBeLessThan(1_000);
      await expect.poll(() => a.lines.some((line) => line.includes("silent for")), patience).toBe(true);
      expect(a.ear.unreachableIds).toContain(2n);
      proxy.flow({ [way]: "pass" });
      await connected(a, b);
      await passes(a, b);
      expect(a.ear.refusals).toEqual([]);
    },
  );

  it("from the beginning is dialled again and again, without leaving connections behind", async () => {
    await using a = await startRoom(1n);
    const open = new Set<Socket>();
    let accepted = 0;
    const silent = createServer((socket) => {
      accepted += 1;
      open.add(socket);
      socket.on("error", () => undefined).on("close", () => open.delete(socket));
      socket.resume();
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    a.room.setMembers([{ id: 2n, peerUrls: [`http://127.0.0.1:${port}`] }]);
    // Two lanes, each with a look at the port and then a stream.
    await expect.poll(() => accepted, patience).toBeGreaterThan(11);
    await expect.poll(() => open.size, patience).toBeLessThanOrEqual(2);
    await a.room.close();
    await expect.poll(() => open.size, patience).toBe(0);
    await new Promise((resolve) => silent.close(resolve));
  });

  it("gets no more than the queue holds, and drops are reported", async () => {
    await using a = await startRoom(1n, { electionMs: 5_000 });
    await using b = await startRoom(2n, { electionMs: 5_000 });
    await using proxy = await startTcpProxy(b.url);
    a.room.setMembers([{ id: 2n, peerUrls: [proxy.endpoint] }]);
    b.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await connected(a, b);
    proxy.flow({ requests: "hold" });
    const message: Message = append(1n, 2n, { index: 1, bytes: 1024 * 1024 });
    let sent = 0;
    await expect
      .poll(
        () => {
          a.room.send([message]);
          sent += 1;
          return a.ear.unreachableIds;
        },
        { timeout: 10_000, interval: 1 },
      )
      .toContain(2n);
    // 16 MiB in the queue, two on their way, and what windows and the system's buffers hold.
    expect(sent).toBeGreaterThan(16);
    expect(sent).toBeLessThan(40);
    proxy.flow({ requests: "pass" });
    await expect.poll(() => indexes(b).length, patience).toBe(sent - 1);
  });
});

describe("members", () => {
  it("are linked, re-addressed and let go as they are set", async () => {
    await using a = await startRoom(1n, { electionMs: 5_000 });
    await using b = await startRoom(2n);
    await using proxy = await startTcpProxy(b.url);
    a.room.setMembers([{ id: 2n, peerUrls: [`http://127.0.0.1:${await freePort()}`] }]);
    a.room.setMembers([{ id: 2n, peerUrls: [proxy.endpoint] }]);
    await passes(a, b);
    await expect.poll(() => proxy.connectionCount, patience).toBe(2);
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await passes(a, b);
    // What stands leads to the right member, wherever that is.
    expect(proxy.connectionCount).toBe(2);
    proxy.cut();
    await expect.poll(() => said(a, "the link to a member stands"), patience).toBe(2);
    await passes(a, b);
    expect(proxy.connectionCount).toBe(0);
    const lines = a.lines.length;
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await passes(a, b);
    expect(a.lines).toHaveLength(lines);
    a.room.setMembers([]);
    const heard = b.ear.heard.length;
    a.room.send([heartbeat(1n, 2n, 5)]);
    expect(a.room.connectedSinceMs(2n)).toBeUndefined();
    await expect(a.room.ask(2n, { kind: undefined }, { timeoutMs: 100 })).rejects.toThrow("peer unreachable");
    expect(b.ear.heard.length).toBe(heard);
  });

  it("with a URL that nobody can dial do no harm", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    a.room.setMembers([
      { id: 2n, peerUrls: ["gopher://2", b.url] },
      { id: 3n, peerUrls: ["http://no-port"] },
    ]);
    await passes(a, b);
    expect(a.lines.some((line) => line.includes("gopher://2 is no peer URL"))).toBe(true);
    expect(a.room.connectedSinceMs(3n)).toBeUndefined();
  });

  it("talk over sockets in the file system too", async () => {
    const path = join(tmpdir(), `litecd-peer-${process.pid}.sock`);
    await using a = await startRoom(1n);
    await using b = await startRoom(2n, { listenUrls: [`unix://${path}`] });
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await passes(a, b);
  });
});

describe("a member turns away", () => {
  it("a member of another cluster, and both say why, once", async () => {
    await using a = await startRoom(1n, { clusterId: 0xc2n });
    await using b = await startRoom(2n);
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await expect.poll(() => said(a, "its cluster is c2, this member's is c1"), patience).toBe(1);
    await expect.poll(() => said(b, "its cluster is c2, this member's is c1"), patience).toBe(1);
    a.room.send([heartbeat(1n, 2n, 1)]);
    const sinceMs = performance.now();
    await expect.poll(() => performance.now() - sinceMs, patience).toBeGreaterThan(300);
    expect(said(a, "its cluster is c2")).toBe(1);
    expect(said(b, "its cluster is c2")).toBe(1);
    expect(b.ear.heard).toEqual([]);
    expect(a.ear.removedCount).toBe(0);
  });

  it("a member that looks for somebody else", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n);
    a.room.setMembers([{ id: 3n, peerUrls: [b.url] }]);
    await expect
      .poll(() => a.lines.some((line) => line.includes("it looks for 3, this member is 2")), patience)
      .toBe(true);
    expect(b.ear.heard).toEqual([]);
  });

  it("a member that was removed, and tells it so", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n, { isRemoved: (id) => id === 1n });
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await expect.poll(() => a.ear.removedCount, patience).toBeGreaterThan(0);
    expect(b.lines.some((line) => line.includes("it was removed from the cluster"))).toBe(true);
  });

  it("a member that is removed while it is connected", async () => {
    const removed = new Set<bigint>();
    await using a = await startRoom(1n);
    await using b = await startRoom(2n, { isRemoved: (id) => removed.has(id) });
    await using c = await startRoom(3n);
    linkAll([a, b, c]);
    await connected(a, b, c);
    removed.add(1n);
    b.room.setMembers([{ id: 3n, peerUrls: [c.url] }]);
    await expect.poll(() => a.ear.removedCount, patience).toBeGreaterThan(0);
    expect(c.ear.removedCount).toBe(0);
    await passes(b, c);
    await passes(c, b);
  });
});

describe("a closed room", () => {
  it("is silent, and leaves its port to others", async () => {
    await using a = await startRoom(1n);
    const b = await startRoom(2n);
    linkAll([a, b]);
    await connected(a, b);
    await b.room.close();
    await b.room.close();
    b.room.send([heartbeat(2n, 1n, 1)]);
    b.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await using again = await startRoom(2n, { listenUrls: [b.url], clusterId });
    again.room.setMembers([{ id: 1n, peerUrls: [a.url] }]);
    await connected(a, again);
    expect(b.ear.heard).toEqual([]);
    expect(rounds(a)).toEqual([]);
  });

  it("is not opened when one of its URLs is taken, and lets go of the others", async () => {
    await using a = await startRoom(1n);
    const port = await freePort();
    const free = `http://127.0.0.1:${port}`;
    await expect(startRoom(2n, { listenUrls: [free, a.url] })).rejects.toThrow("EADDRINUSE");
    await using b = await startRoom(2n, { listenUrls: [free] });
    expect(b.url).toBe(free);
  });

  it("is not opened at an address without a certificate for it", async () => {
    await expect(startRoom(2n, { listenUrls: ["https://127.0.0.1:0"] })).rejects.toThrow("no certificate and key");
  });
});
