/** The server for tests: it serves, and leaves nothing behind. */
import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { startTestServer } from "../../src/server/testing/index.js";

it("serves on a port of its own and takes its directory along when it closes", async () => {
  const server = await startTestServer();
  const health = await fetch(`http://${server.endpoint}/health`);
  expect(await health.text()).toContain('"health":"true"');
  expect(existsSync(server.dataDir)).toBe(true);
  await server.close();
  expect(existsSync(server.dataDir)).toBe(false);
});
