/** Runs the programs of the README as they stand there, against a server of their own. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createClient, type EtcdClient } from "../../src/client/index.js";
import { startTestServer, type TestServer } from "../../src/server/testing/index.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
let server: TestServer;
let client: EtcdClient;

beforeEach(async () => {
  server = await startTestServer();
  client = createClient({ endpoints: server.endpoints });
});
afterEach(async () => {
  await client.close();
  await server.close();
});

/** The TypeScript blocks of the README, in order. */
async function programs(): Promise<string[]> {
  const text = await readFile(join(root, "README.md"), "utf8");
  return [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code ?? "");
}

/** Runs a program with the package's names standing for the sources, and its endpoint for the test's server. */
async function run(code: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "litecd-readme-"));
  const file = join(directory, "program.ts");
  const here = code
    .replaceAll('"litecd/testing"', JSON.stringify(join(root, "src/server/testing/index.ts")))
    .replaceAll('"litecd"', JSON.stringify(join(root, "src/client/index.ts")))
    .replaceAll("http://127.0.0.1:2379", `http://${server.endpoint}`);
  try {
    await writeFile(file, here);
    await import(file);
  } finally {
    await rm(directory, { recursive: true });
  }
}

it("the first program sells an apple, holds a lease and sees it all in a watch", async () => {
  const [first = ""] = await programs();
  const said = vi.spyOn(console, "log").mockImplementation(() => undefined);
  await Promise.all([run(first), endLoop()]);
  expect(said.mock.calls).toEqual([
    ["stock/apples", "3", 2n],
    ["stock/apples", "2", 3n],
  ]);
  said.mockRestore();
  expect(await client.get("session/alice")).toBeUndefined();
});

/** The program's loop goes on until something is deleted; that happens here, once its last write is there. */
async function endLoop(): Promise<void> {
  for await (const event of client.watch("session/alice", { from: 1n }).events()) if (event.type === "put") break;
  await client.delete("stock/apples");
}

it("the second program starts a server of its own", async () => {
  const [, second = ""] = await programs();
  await run(
    `${second}\nawait client.put("a", "b");\nif ((await client.get("a"))?.value !== "b") throw new Error("lost");\n`,
  );
});
