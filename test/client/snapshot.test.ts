/** Snapshots: whole, or not there at all. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, type SnapshotProgress } from "../../src/client/index.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

const digestBytes = 32;

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe.each(targets)("snapshot", (target) => {
  describe.skipIf(skips(target))(blockName("snapshot", target), () => {
    let server: RealEtcd;
    let client: EtcdClient;
    let folder: string;
    beforeAll(async () => {
      server = await target.start();
      client = createClient({ endpoints: server.endpoint });
      const value = "v".repeat(64 * 1024);
      for (let index = 0; index < 40; index++) await client.put(`snapshot/${index}`, value + index);
    });
    afterAll(async () => {
      await client.close();
      await server.stop();
    });
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), "litecd-snapshot-"));
      return () => rmSync(folder, { recursive: true, force: true });
    });

    it("is saved as a file that only its owner may read, with its digest at the end", async () => {
      const path = join(folder, "db");
      const steps: SnapshotProgress[] = [];
      const saved = await client.maintenance.snapshot({ onProgress: (step) => steps.push(step) }).save(path);
      const content = readFileSync(path);
      expect(saved).toEqual({
        file: path,
        sizeBytes: content.length,
        sha256: sha256(content.subarray(0, -digestBytes)),
        version: expect.any(String) as string,
      });
      expect(content.subarray(-digestBytes).toString("hex")).toBe(saved.sha256);
      expect(content.length).toBeGreaterThan(40 * 64 * 1024);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(readdirSync(folder)).toEqual(["db"]);
      expect(steps.at(-1)).toEqual({ receivedBytes: content.length, remainingBytes: 0 });
      expect(steps[0]?.remainingBytes).toBeGreaterThan(0);
    });

    it("is whole as a web stream and in a loop, too", async () => {
      const streamed: Uint8Array[] = [];
      for await (const part of client.maintenance.snapshot().stream()) streamed.push(part);
      const looped: Uint8Array[] = [];
      for await (const part of client.maintenance.snapshot()) looped.push(part);
      for (const whole of [Buffer.concat(streamed), Buffer.concat(looped)]) {
        expect(whole.length).toBeGreaterThan(40 * 64 * 1024);
        expect(whole.subarray(-digestBytes).toString("hex")).toBe(sha256(whole.subarray(0, -digestBytes)));
      }
    });

    it("ends the call when the reader of a stream or of a loop has had enough", async () => {
      const reader = client.maintenance.snapshot().stream().getReader();
      expect((await reader.read()).done).toBe(false);
      await reader.cancel();
      for await (const part of client.maintenance.snapshot()) {
        expect(part.length).toBeGreaterThan(0);
        break;
      }
      expect(await client.get("snapshot/none")).toBeUndefined();
    });

    it("leaves the old file and nothing else when the connection breaks, and says how far it came", async () => {
      await using proxy = await startTcpProxy(server.endpoint);
      await using through = createClient({ endpoints: proxy.endpoint });
      const path = join(folder, "db");
      writeFileSync(path, "old");
      await through.get("warm");
      const cut = proxy.cutAfterReplies(512 * 1024);
      const failure: unknown = await through.maintenance
        .snapshot()
        .save(path)
        .catch((error: unknown) => error);
      await cut;
      expect(failure).toMatchObject({
        name: "SnapshotError",
        code: "ConnectionLost",
        outcome: "not-applied",
        retryable: true,
        receivedBytes: expect.any(Number) as number,
      });
      expect(readFileSync(path, "utf8")).toBe("old");
      expect(readdirSync(folder)).toEqual(["db"]);
      const saved = await through.maintenance.snapshot().save(path);
      expect(statSync(path).size).toBe(saved.sizeBytes);
    });

    it("is given up by its signal, and leaves no file", async () => {
      const giveUp = new AbortController();
      const download = client.maintenance.snapshot({
        signal: giveUp.signal,
        onProgress: () => giveUp.abort(new Error("enough")),
      });
      await expect(download.save(join(folder, "db"))).rejects.toMatchObject({ code: "Aborted" });
      expect(readdirSync(folder)).toEqual([]);
    });

    it("fails like any call when it cannot begin", async () => {
      await using nobody = createClient({ endpoints: "127.0.0.1:1", connectTimeoutMs: 200 });
      const attempt = nobody.maintenance.snapshot({ timeoutMs: 300 }).save(join(folder, "db"));
      await expect(attempt).rejects.toMatchObject({ name: "EtcdError", outcome: "not-applied" });
      const missing = client.maintenance.snapshot().save(join(folder, "no", "such", "folder"));
      await expect(missing).rejects.toMatchObject({ code: "ENOENT" });
      expect(readdirSync(folder)).toEqual([]);
    });
  });
});
