/** Snapshot files of a directory: whole and durable, or gone. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { snapshotFilesIn } from "../../../src/server/replica/files.js";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "litecd-files-"));
});

afterEach(() => rmSync(dir, { recursive: true }));

describe("snapshot files", () => {
  it("hold what was written, in order", async () => {
    const file = await snapshotFilesIn(dir).create("state-2.db");
    await file.write(new Uint8Array([1, 2]));
    await file.write(new Uint8Array([3]));
    await file.finish();
    expect([...readFileSync(join(dir, "state-2.db"))]).toEqual([1, 2, 3]);
  });

  it("replace an old file of the same name with all that lay beside it", async () => {
    for (const name of ["state-2.db", "state-2.db-wal", "state-3.db"]) writeFileSync(join(dir, name), "old");
    const file = await snapshotFilesIn(dir).create("state-2.db");
    await file.finish();
    expect(snapshotFilesIn(dir).names().toSorted()).toEqual(["state-2.db", "state-3.db"]);
    expect(readFileSync(join(dir, "state-2.db"))).toHaveLength(0);
  });

  it("are gone when they are discarded or removed", async () => {
    const files = snapshotFilesIn(dir);
    const file = await files.create("state-2.db");
    await file.write(new Uint8Array([1]));
    await file.discard();
    writeFileSync(join(dir, "outgoing-1.db.tmp"), "old");
    files.remove("outgoing-1.db.tmp");
    expect(readdirSync(dir)).toEqual([]);
  });
});
