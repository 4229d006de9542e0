/** Directories and ports of a development cluster. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { DevConfig } from "../../../src/server/config/dev.js";
import { layOut } from "../../../src/server/dev/layout.js";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "litecd-layout-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function config(more: Partial<DevConfig> = {}): DevConfig {
  return { memberCount: 3, portBase: 0, dataDir: join(directory, "kept"), memberFlags: [], ...more };
}

it("gives every member ports of its own and a directory in a temporary one", async () => {
  const layout = await layOut(config({ dataDir: undefined }));
  try {
    const { members } = layout;
    expect(layout.kept).toBe(false);
    expect(existsSync(layout.directory)).toBe(true);
    expect(new Set(members.flatMap(({ clientUrl, peerUrl }) => [clientUrl, peerUrl])).size).toBe(6);
    expect(members.map(({ name, dataDir }) => [name, dataDir])).toEqual(
      ["m1", "m2", "m3"].map((name) => [name, join(layout.directory, name)]),
    );
  } finally {
    rmSync(layout.directory, { recursive: true, force: true });
  }
});

it("counts ports up from the one that is given", async () => {
  const { members } = await layOut(config({ memberCount: 2, portBase: 4000 }));
  expect(members.map(({ clientUrl, peerUrl }) => [clientUrl, peerUrl])).toEqual([
    ["http://127.0.0.1:4000", "http://127.0.0.1:4001"],
    ["http://127.0.0.1:4002", "http://127.0.0.1:4003"],
  ]);
});

it("takes the same ports again where the data was kept", async () => {
  const first = await layOut(config());
  expect(await layOut(config())).toEqual(first);
});

it("refuses a directory with another cluster, or with what it cannot read", async () => {
  await layOut(config({ portBase: 4000 }));
  await expect(layOut(config({ memberCount: 5 }))).rejects.toThrow(/holds a cluster of 3, not of 5/);
  await expect(layOut(config({ portBase: 5000 }))).rejects.toThrow(/ports begin with 4000, not with 5000/);
  writeFileSync(join(directory, "kept", "dev.json"), "{}");
  await expect(layOut(config())).rejects.toThrow(/cannot be read/);
});
