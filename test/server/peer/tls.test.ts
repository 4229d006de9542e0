/** Members that know each other by certificates. */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { askStranger } from "../../../src/server/peer/ask.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import { openTls } from "../../../src/server/tls/open.js";
import type { TlsConfig } from "../../../src/server/tls/types.js";
import { Authority } from "../../support/certificates.js";
import { mutualTls, opened, plainTls, showing } from "../tls/material.js";
import { heartbeat, linkAll, startRoom, type TestRoom } from "./harness.js";

const patience = { timeout: 10_000, interval: 5 };
const listenUrls = ["https://127.0.0.1:0"];
const view: Question = { kind: { $case: "clusterView", value: {} } };
const nothing: Answer = { kind: undefined };

let ours: Authority;
let theirs: Authority;

beforeAll(async () => {
  ours = await Authority.create("ours");
  theirs = await Authority.create("theirs");
});

afterAll(() => {
  ours.remove();
  theirs.remove();
});

/** A room that listens with TLS. */
async function secureRoom(id: bigint, config?: TlsConfig): Promise<TestRoom> {
  return startRoom(id, { listenUrls, tls: await opened(config ?? (await mutualTls({ signedBy: ours }))) });
}

/** A room that only calls. */
async function caller(id: bigint, config: TlsConfig): Promise<TestRoom> {
  return startRoom(id, { tls: await opened(config) });
}

function said(room: TestRoom, text: string): boolean {
  return room.lines.some((line) => line.includes(text));
}

function sees(room: TestRoom, other: TestRoom): void {
  room.room.setMembers([{ id: other.id, peerUrls: [other.url] }]);
}

describe("mutual TLS", () => {
  it("lets members of one authority talk", async () => {
    await using a = await secureRoom(1n);
    await using b = await secureRoom(2n);
    expect(b.url).toMatch(/^https:\/\/127\.0\.0\.1:[1-9]/);
    linkAll([a, b]);
    await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeDefined();
    a.room.send([heartbeat(1n, 2n, 4)]);
    await expect.poll(() => b.ear.heard, patience).toEqual([heartbeat(1n, 2n, 4)]);
    expect(await a.room.ask(2n, view, { timeoutMs: 1_000 })).toEqual(nothing);
  });

  it("notices that a process is gone as soon as without it", async () => {
    await using a = await secureRoom(1n);
    const b = await secureRoom(2n);
    linkAll([a, b]);
    await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeDefined();
    await b.room.close();
    const goneMs = performance.now();
    await expect.poll(() => a.ear.refusals.length, patience).toBeGreaterThan(0);
    expect((a.ear.refusals[0]?.atMs ?? 0) - goneMs).toBeLessThan(1_000);
  });

  it("refuses a server of another authority", async () => {
    await using a = await caller(1n, await mutualTls({ signedBy: ours }));
    const identity = showing(await theirs.issue());
    await using b = await secureRoom(2n, { ...plainTls, identity });
    sees(a, b);
    await expect.poll(() => said(a, "no link to a member"), patience).toBe(true);
    expect(said(a, "unable to get local issuer certificate")).toBe(true);
    expect(a.ear.refusals).toEqual([]);
  });

  it.each([
    ["whose certificate is for another address", { names: ["IP:127.0.0.2", "DNS:peer.litecd.internal"] }],
    ["whose certificate has run out", { validHours: { from: -3, until: -1 } }],
    ["whose certificate is not for servers", { usages: ["client"] as const }],
  ])("does not call a server %s", async (_what, certificate) => {
    await using a = await caller(1n, await mutualTls({ signedBy: ours }));
    await using b = await secureRoom(2n, await mutualTls({ signedBy: ours, certificate }));
    sees(a, b);
    const reason = /altnames|certificate has expired|unsuitable certificate purpose/;
    await expect.poll(() => a.lines.some((line) => reason.test(line)), patience).toBe(true);
    expect(a.room.connectedSinceMs(2n)).toBeUndefined();
  });

  it("refuses members without a certificate, of another authority, out of time, or with one for servers only", async () => {
    await using b = await secureRoom(2n);
    const trusting = { ...plainTls, trustedCaFile: ours.caFile };
    const cases: [TlsConfig, string][] = [
      [trusting, "peer did not return a certificate"],
      [{ ...trusting, identity: showing(await theirs.issue()) }, "signed by unknown authority"],
      [{ ...trusting, identity: showing(await ours.issue({ validHours: { from: -3, until: -1 } })) }, "it has expired"],
      [
        { ...trusting, identity: showing(await ours.issue({ validHours: { from: 1, until: 3 } })) },
        "it is not yet valid",
      ],
      [{ ...trusting, identity: showing(await ours.issue({ usages: ["server"] })) }, "it is not for clients"],
    ];
    for (const [config, reason] of cases) {
      await using a = await caller(1n, config);
      sees(a, b);
      await expect.poll(() => said(a, "no link to a member"), patience).toBe(true);
      const { dialer } = await opened(config);
      await expect(askStranger(b.url, view, { timeoutMs: 2_000, dialer })).rejects.toThrow("peer unreachable");
      await expect.poll(() => said(b, reason), patience).toBe(true);
    }
    expect(b.ear.questions).toEqual([]);
    const { dialer } = await opened(await mutualTls({ signedBy: ours, certificate: { names: ["DNS:localhost"] } }));
    expect(await askStranger(b.url, view, { timeoutMs: 2_000, dialer })).toEqual(nothing);
  });

  it("refuses a member that calls from where its certificate does not live, unless told not to look", async () => {
    const elsewhere = { names: ["IP:192.0.2.7", "DNS:nowhere.invalid"] };
    await using a = await caller(1n, await mutualTls({ signedBy: ours, certificate: elsewhere }));
    await using strict = await secureRoom(2n);
    sees(a, strict);
    await expect.poll(() => said(strict, "and its owner calls from 127.0.0.1"), patience).toBe(true);
    expect(strict.ear.heard).toEqual([]);
    await using lax = await secureRoom(3n, await mutualTls({ signedBy: ours, change: { skipAddressCheck: true } }));
    sees(a, lax);
    await expect.poll(() => said(a, "the link to a member stands"), patience).toBe(true);
  });

  it("lets only those in whose names are allowed, and calls no others", async () => {
    const nameRule = { kind: "commonNames", names: ["member"] } as const;
    const named = (commonName: string, change: Partial<TlsConfig> = { nameRule }) =>
      mutualTls({ signedBy: ours, certificate: { commonName }, change });
    await using b = await secureRoom(2n, await named("member"));
    await using stranger = await caller(1n, await named("stranger", {}));
    sees(stranger, b);
    await expect.poll(() => said(b, "client certificate authentication failed"), patience).toBe(true);
    await using impostor = await secureRoom(3n, await named("stranger", {}));
    await using a = await caller(4n, await named("member"));
    sees(a, impostor);
    await expect.poll(() => said(a, "client certificate authentication failed"), patience).toBe(true);
    sees(a, b);
    await expect.poll(() => said(a, "the link to a member stands"), patience).toBe(true);
  });

  it("shows others a certificate of its own for that, if it has one", async () => {
    const serving = { usages: ["server"] as const };
    const callerIdentity = await ours.issue({ usages: ["client"] });
    const both = (change: Partial<TlsConfig>) => mutualTls({ signedBy: ours, certificate: serving, change });
    await using a = await secureRoom(1n, await both({ callerIdentity }));
    await using b = await secureRoom(2n, await both({ callerIdentity }));
    linkAll([a, b]);
    await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeDefined();
    await using c = await secureRoom(3n, await both({}));
    sees(c, b);
    await expect.poll(() => said(b, "it is not for clients"), patience).toBe(true);
  });

  it("lets nobody in who was revoked, and calls nobody who was", async () => {
    const revoked = await ours.issue();
    const crlFile = ours.write("peers.crl", await ours.revocationList([]));
    await using b = await secureRoom(2n, await mutualTls({ signedBy: ours, change: { crlFile } }));
    await using a = await secureRoom(1n, {
      ...(await mutualTls({ signedBy: ours })),
      identity: showing(revoked),
    });
    linkAll([a, b]);
    await expect.poll(() => said(a, "the link to a member stands"), patience).toBe(true);
    writeFileSync(crlFile, await ours.revocationList([revoked]));
    await using c = await caller(3n, { ...(await mutualTls({ signedBy: ours })), identity: showing(revoked) });
    sees(c, b);
    await expect.poll(() => said(b, `certificate serial ${revoked.serial} revoked`), patience).toBe(true);
    expect(said(c, "the link to a member stands")).toBe(false);
    await using d = await caller(4n, await mutualTls({ signedBy: ours, change: { crlFile } }));
    sees(d, a);
    await expect.poll(() => said(d, `certificate serial ${revoked.serial} revoked`), patience).toBe(true);
  });

  it("takes certificates that were exchanged while it runs", async () => {
    const config = await mutualTls({ signedBy: ours, certificate: { validHours: { from: -3, until: -1 } } });
    await using b = await secureRoom(2n);
    await using a = await caller(1n, config);
    sees(a, b);
    await expect.poll(() => said(b, "it has expired"), patience).toBe(true);
    const fresh = await ours.issue();
    if (config.identity?.kind !== "files") throw new Error("the certificate comes from files");
    writeFileSync(config.identity.certFile, fresh.cert);
    writeFileSync(config.identity.keyFile, fresh.key);
    await expect.poll(() => said(a, "the link to a member stands"), patience).toBe(true);
  });

  it("has no ear for those who speak without it", async () => {
    await using a = await startRoom(1n);
    await using b = await secureRoom(2n);
    a.room.setMembers([{ id: 2n, peerUrls: [b.url.replace("https", "http")] }]);
    await expect.poll(() => said(a, "no link to a member"), patience).toBe(true);
    await expect.poll(() => said(b, "rejected connection on peer endpoint"), patience).toBe(true);
    sees(a, b);
    await expect.poll(() => said(a, "self-signed certificate in certificate chain"), patience).toBe(true);
  });

  it("waits for no handshake when it closes", async () => {
    const b = await secureRoom(2n);
    const silent = connect(Number(new URL(b.url).port), "127.0.0.1");
    silent.on("error", () => undefined);
    await new Promise<void>((resolve) => void silent.once("connect", () => resolve()));
    const closed = new Promise((resolve) => void silent.once("close", resolve));
    await b.room.close();
    await closed;
  });
});

describe("certificates that members make themselves", () => {
  it("encrypt, and prove nothing", async () => {
    const selfMade = { ...plainTls, identity: { kind: "selfSigned", validityYears: 1 } } as const;
    const at = (name: string) =>
      openTls(selfMade, { directory: `${ours.directory}/${name}`, hosts: ["127.0.0.1"], logger: silentLogger });
    await using a = await startRoom(1n, { listenUrls, tls: await at("a") });
    await using b = await startRoom(2n, { listenUrls, tls: await at("b") });
    linkAll([a, b]);
    await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeDefined();
  });
});
