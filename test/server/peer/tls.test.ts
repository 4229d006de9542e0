/** Members that know each other by certificates. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { askStranger } from "../../../src/server/peer/ask.js";
import type { PeerTls } from "../../../src/server/peer/types.js";
import { type Authority, createAuthority } from "./certificates.js";
import { heartbeat, linkAll, startRoom, type TestRoom } from "./harness.js";

const patience = { timeout: 10_000, interval: 5 };
const listenUrls = ["https://127.0.0.1:0"];
const view: Question = { kind: { $case: "clusterView", value: {} } };
const nothing: Answer = { kind: undefined };

let ours: Authority;
let theirs: Authority;

beforeAll(() => {
  ours = createAuthority("ours");
  theirs = createAuthority("theirs");
});

afterAll(() => {
  ours.remove();
  theirs.remove();
});

/** What a member has that trusts one authority and was signed by another. */
function mutual(options: {
  readonly signedBy: Authority;
  readonly trusts?: Authority;
  readonly names?: string;
}): PeerTls {
  const { cert, key } = options.signedBy.sign(options.names ?? "IP:127.0.0.1,DNS:localhost");
  const { ca } = options.trusts ?? options.signedBy;
  return { server: { cert, key, trustedCa: ca }, client: { ca, cert, key } };
}

function said(room: TestRoom, text: string): boolean {
  return room.lines.some((line) => line.includes(text));
}

describe("mutual TLS", () => {
  it("lets members of one authority talk", async () => {
    await using a = await startRoom(1n, { listenUrls, tls: mutual({ signedBy: ours }) });
    await using b = await startRoom(2n, { listenUrls, tls: mutual({ signedBy: ours }) });
    expect(b.url).toMatch(/^https:\/\/127\.0\.0\.1:[1-9]/);
    linkAll([a, b]);
    await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeDefined();
    a.room.send([heartbeat(1n, 2n, 4)]);
    await expect.poll(() => b.ear.heard, patience).toEqual([heartbeat(1n, 2n, 4)]);
    expect(await a.room.ask(2n, view, { timeoutMs: 1_000 })).toEqual(nothing);
  });

  it("notices that a process is gone as soon as without it", async () => {
    await using a = await startRoom(1n, { listenUrls, tls: mutual({ signedBy: ours }) });
    const b = await startRoom(2n, { listenUrls, tls: mutual({ signedBy: ours }) });
    linkAll([a, b]);
    await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeDefined();
    await b.room.close();
    const goneMs = performance.now();
    await expect.poll(() => a.ear.refusals.length, patience).toBeGreaterThan(0);
    expect((a.ear.refusals[0]?.atMs ?? 0) - goneMs).toBeLessThan(200);
  });

  it("refuses a server of another authority", async () => {
    const { client } = mutual({ signedBy: ours });
    await using a = await startRoom(1n, { tls: { ...mutual({ signedBy: ours }), client } });
    const { cert, key } = theirs.sign("IP:127.0.0.1");
    await using b = await startRoom(2n, { listenUrls, tls: { server: { cert, key }, client } });
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await expect.poll(() => said(a, "no link to a member"), patience).toBe(true);
    expect(said(a, "unable to verify the first certificate") || said(a, "self-signed")).toBe(true);
    expect(a.ear.refusals).toEqual([]);
  });

  it("refuses a server whose certificate is for another address", async () => {
    await using a = await startRoom(1n, { tls: mutual({ signedBy: ours }) });
    const tls = mutual({ signedBy: ours, names: "IP:127.0.0.2,DNS:localhost,DNS:peer.litecd.internal" });
    await using b = await startRoom(2n, { listenUrls, tls });
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await expect.poll(() => said(a, "does not match certificate's altnames"), patience).toBe(true);
    expect(a.room.connectedSinceMs(2n)).toBeUndefined();
  });

  it("refuses members without a certificate, or with one of another authority", async () => {
    await using b = await startRoom(2n, { listenUrls, tls: mutual({ signedBy: ours }) });
    const stranger = theirs.sign("IP:127.0.0.1");
    for (const client of [{ ca: ours.ca }, { ca: ours.ca, ...stranger }]) {
      await using a = await startRoom(1n, { tls: { ...mutual({ signedBy: ours }), client } });
      a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
      await expect.poll(() => said(a, "no link to a member"), patience).toBe(true);
      const asked = askStranger(b.url, view, { timeoutMs: 2_000, tls: client });
      await expect(asked).rejects.toThrow("peer unreachable");
    }
    expect(b.ear.questions).toEqual([]);
    const known = { ca: ours.ca, ...ours.sign("DNS:joiner") };
    expect(await askStranger(b.url, view, { timeoutMs: 2_000, tls: known })).toEqual(nothing);
  });

  it("has no ear for those who speak without it", async () => {
    await using a = await startRoom(1n);
    await using b = await startRoom(2n, { listenUrls, tls: mutual({ signedBy: ours }) });
    a.room.setMembers([{ id: 2n, peerUrls: [b.url.replace("https", "http")] }]);
    await expect.poll(() => said(a, "no link to a member"), patience).toBe(true);
    a.room.setMembers([{ id: 2n, peerUrls: [b.url] }]);
    await expect.poll(() => said(a, "no certificates are given"), patience).toBe(true);
  });

  it("waits for no handshake when it closes", async () => {
    const b = await startRoom(2n, { listenUrls, tls: mutual({ signedBy: ours }) });
    const silent = connect(Number(new URL(b.url).port), "127.0.0.1");
    silent.on("error", () => undefined);
    await new Promise<void>((resolve) => void silent.once("connect", () => resolve()));
    const closed = new Promise((resolve) => void silent.once("close", resolve));
    await b.room.close();
    await closed;
  });
});
