/** Mirrors whose destination loses answers: with stores whose every answer is decided here. */
import { describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.js";
import { mirror } from "../../src/client/mirror/index.js";
import { StoreTransport } from "../support/store-transport.js";

async function sides(destination: StoreTransport) {
  const from = createClient({ endpoints: "source:1", transport: new StoreTransport() });
  const to = createClient({ endpoints: "destination:1", transport: destination });
  await from.put("k/kept", "1");
  for (const key of ["k/gone", "k/kept"]) await to.put(key, "0");
  return { from, to, [Symbol.asyncDispose]: () => Promise.all([from.close(), to.close()]).then(() => {}) };
}

describe("a mirror with a checkpoint", () => {
  it("goes on when the answer to a transaction that deletes is lost", async () => {
    const destination = new StoreTransport();
    await using both = await sides(destination);
    destination.loseNextWrite = () => Promise.resolve();
    const options = { prefix: "k/", mode: "copy", extraKeys: "delete", checkpoint: "checkpoint" } as const;
    let last: unknown;
    for await (const step of mirror(both.from, both.to, options)) last = step;
    expect(destination.loseNextWrite).toBeUndefined();
    expect(last).toMatchObject({ puts: 1, deletes: 1 });
    expect((await both.to.list({ prefix: "k/" })).kvs).toMatchObject([{ key: "k/kept", value: "1", version: 2 }]);
  });

  it("says nothing of what it finds in the place of the checkpoint", async () => {
    await using both = await sides(new StoreTransport());
    await both.to.put("checkpoint", "a secret");
    const failure = await mirror(both.from, both.to, { prefix: "k/", checkpoint: "checkpoint" })
      .next()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TypeError);
    expect(String(failure)).not.toContain("secret");
  });
});

describe("a mirror from a revision", () => {
  it("refuses one before the first: watches would take it for now", async () => {
    await using both = await sides(new StoreTransport());
    await expect(mirror(both.from, both.to, { since: 0 }).next()).rejects.toThrow(RangeError);
  });
});
