/** litecd in jest, which needs `node --experimental-vm-modules` for packages that are ES modules. */
import { afterAll, beforeAll, beforeEach, expect, it } from "@jest/globals";
import { startTestServer } from "litecd/testing";
import { raise } from "../counter.js";

/** @type {import("litecd/testing").TestServer} */
let server;

beforeAll(async () => {
  server = await startTestServer({ endpoint: process.env.ETCD_ENDPOINT });
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
