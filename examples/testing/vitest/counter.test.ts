/** litecd in vitest: one server a file, empty again before each test. */
import { startTestServer, type TestServer } from "litecd/testing";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { raise } from "../counter.js";

let server: TestServer;

beforeAll(async () => {
  // In this process; or set ETCD_ENDPOINT to run the same tests against an etcd that runs already.
  server = await startTestServer({ endpoint: process.env["ETCD_ENDPOINT"], faults: true });
});
beforeEach(() => server.reset());
afterAll(() => server.close());

it("counts from one", async () => {
  const client = server.client();
  expect(await raise(client, "visits")).toBe(1);
  expect(await raise(client, "visits")).toBe(2);
});

it("loses nothing when many count at once", async () => {
  const clients = Array.from({ length: 5 }, () => server.client());
  const counted = await Promise.all(clients.map((client) => raise(client, "visits")));
  expect(counted.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5]);
});

it("says so when a connection breaks in the middle, and does not count twice", async () => {
  const client = server.client({ timeoutMs: 500 });
  await raise(client, "visits");
  server.fault.loseReplies();
  await expect(client.put("visits", "2")).rejects.toMatchObject({ outcome: "unknown" });
  server.fault.heal();
  const visits = await server.client().get("visits");
  expect(visits).toMatchObject({ value: "2", version: 2 });
});
