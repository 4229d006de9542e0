/** Conformance: put. */

import { expect } from "vitest";
import { status } from "../../proto/status.js";
import { conformance } from "./harness.js";
import { bytes, headerOf } from "./words.js";

conformance("KV put", (test) => {
  test("the first put of a key creates it: version 1, create = mod = header revision", async (t) => {
    const response = await t.put("a", "v");
    expect(t.since(headerOf(response).revision)).toBe(1);
    const { kvs } = await t.get("a");
    expect(t.facts(kvs[0])).toEqual({ key: "a", value: "v", created: 1, modified: 1, version: 1, lease: 0n });
  });

  test("a second put keeps the create revision and counts the version up", async (t) => {
    await t.put("a", "one");
    await t.put("a", "two");
    const { kvs } = await t.get("a");
    expect(t.facts(kvs[0])).toEqual({ key: "a", value: "two", created: 1, modified: 2, version: 2, lease: 0n });
  });

  test("a put with the same value still takes a revision", async (t) => {
    await t.put("a", "same");
    await t.put("a", "same");
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ modified: 2, version: 2 });
  });

  test("a put after a delete starts a new generation", async (t) => {
    await t.put("a", "one");
    await t.put("a", "two");
    await t.del("a");
    await t.put("a", "three");
    const { kvs } = await t.get("a");
    expect(t.facts(kvs[0])).toEqual({ key: "a", value: "three", created: 4, modified: 4, version: 1, lease: 0n });
  });

  test("without prev_kv there is none in the response", async (t) => {
    await t.put("a", "one");
    expect((await t.put("a", "two")).prevKv).toBeUndefined();
  });

  test("prev_kv gives the key as it was", async (t) => {
    await t.put("a", "one");
    const { prevKv } = await t.put("a", "two", { prevKv: true });
    expect(t.facts(prevKv)).toEqual({ key: "a", value: "one", created: 1, modified: 1, version: 1, lease: 0n });
  });

  test("prev_kv is absent for a new key and after a delete", async (t) => {
    expect((await t.put("a", "one", { prevKv: true })).prevKv).toBeUndefined();
    await t.del("a");
    expect((await t.put("a", "two", { prevKv: true })).prevKv).toBeUndefined();
  });

  test("prev_kv carries the lease the key had", async (t) => {
    const lease = await t.grant();
    await t.put("a", "one", { lease });
    const { prevKv } = await t.put("a", "two", { prevKv: true });
    expect(prevKv?.lease).toBe(lease);
  });

  test("concurrent puts get different, gapless revisions of their own", async (t) => {
    const names = Array.from({ length: 50 }, (_, index) => `k${index}`);
    const responses = await Promise.all(names.map((name) => t.put(name)));
    const revisions = responses.map((response) => t.since(headerOf(response).revision)).toSorted((a, b) => a - b);
    expect(revisions).toEqual(names.map((_, index) => index + 1));
  });

  test("each put's header revision is its key's mod revision, even with others in flight", async (t) => {
    const names = Array.from({ length: 20 }, (_, index) => `k${index}`);
    const responses = await Promise.all(names.map((name) => t.put(name)));
    for (const [index, name] of names.entries()) {
      expect((await t.get(name)).kvs[0]?.modRevision).toBe(responses[index]?.header?.revision);
    }
  });

  test("an empty key is refused", async (t) => {
    await t.rejects(t.client.put({ value: bytes("v") }), status.EmptyKey);
  });

  test("an empty key is refused before anything else is looked at", async (t) => {
    await t.rejects(t.client.put({ value: bytes("v"), ignoreValue: true }), status.EmptyKey);
    await t.rejects(t.client.put({ lease: 77, ignoreLease: true }), status.EmptyKey);
  });

  test("ignore_value keeps the value and takes a revision", async (t) => {
    await t.put("a", "kept");
    await t.put("a", "", { ignoreValue: true });
    expect(t.facts((await t.get("a")).kvs[0])).toEqual({
      key: "a",
      value: "kept",
      created: 1,
      modified: 2,
      version: 2,
      lease: 0n,
    });
  });

  test("ignore_value can change the lease alone", async (t) => {
    const lease = await t.grant();
    await t.put("a", "kept");
    await t.put("a", "", { ignoreValue: true, lease });
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ value: "kept", lease });
  });

  test("ignore_value with a value is refused", async (t) => {
    await t.put("a", "v");
    await t.rejects(t.put("a", "w", { ignoreValue: true }), status.ValueProvided);
    expect(t.facts((await t.get("a")).kvs[0])?.value).toBe("v");
  });

  test("ignore_value on a missing key is refused", async (t) => {
    await t.rejects(t.put("a", "", { ignoreValue: true }), status.KeyNotFound);
    expect(await t.revision()).toBe(t.base);
  });

  test("ignore_value on a deleted key is refused", async (t) => {
    await t.put("a", "v");
    await t.del("a");
    await t.rejects(t.put("a", "", { ignoreValue: true }), status.KeyNotFound);
  });

  test("ignore_lease keeps the lease", async (t) => {
    const lease = await t.grant();
    await t.put("a", "one", { lease });
    await t.put("a", "two", { ignoreLease: true });
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ value: "two", lease });
  });

  test("ignore_lease of a key without lease leaves it without", async (t) => {
    await t.put("a", "one");
    await t.put("a", "two", { ignoreLease: true });
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ value: "two", lease: 0n });
  });

  test("ignore_lease with a lease is refused", async (t) => {
    const lease = await t.grant();
    await t.put("a", "v");
    await t.rejects(t.put("a", "w", { ignoreLease: true, lease }), status.LeaseProvided);
  });

  test("ignore_lease on a missing key is refused", async (t) => {
    await t.rejects(t.put("a", "v", { ignoreLease: true }), status.KeyNotFound);
  });

  test("ignore_value and ignore_lease together touch the key", async (t) => {
    const lease = await t.grant();
    await t.put("a", "v", { lease });
    await t.put("a", "", { ignoreLease: true, ignoreValue: true });
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ value: "v", lease, version: 2 });
  });

  test("both ignore flags wrong: the value is complained about first", async (t) => {
    await t.rejects(t.put("a", "v", { ignoreValue: true, ignoreLease: true, lease: 5 }), status.ValueProvided);
  });

  test("an unknown lease is refused and nothing is written", async (t) => {
    await t.rejects(t.put("a", "v", { lease: 4242 }), status.LeaseNotFound);
    expect((await t.get("a")).count).toBe(0n);
    expect(await t.revision()).toBe(t.base);
  });

  test("an unknown negative lease is refused", async (t) => {
    await t.rejects(t.put("a", "v", { lease: -4242 }), status.LeaseNotFound);
  });

  test("an unknown lease is complained about before a missing key", async (t) => {
    await t.rejects(t.put("a", "", { lease: 4242, ignoreValue: true }), status.LeaseNotFound);
  });

  test("a put without lease detaches the key from its lease", async (t) => {
    const lease = await t.grant();
    await t.put("a", "one", { lease });
    await t.put("a", "two");
    expect(t.facts((await t.get("a")).kvs[0])?.lease).toBe(0n);
    expect((await t.client.leaseTimeToLive({ ID: lease, keys: true })).keys).toEqual([]);
  });

  test("a put with another lease moves the key to it", async (t) => {
    const [first, second] = [await t.grant(), await t.grant()];
    await t.put("a", "one", { lease: first });
    await t.put("a", "two", { lease: second });
    expect((await t.client.leaseTimeToLive({ ID: first, keys: true })).keys).toEqual([]);
    const { keys } = await t.client.leaseTimeToLive({ ID: second, keys: true });
    expect(keys.map((key) => t.name(key))).toEqual(["a"]);
  });

  test("value bytes come back as they were sent, all 256 of them", async (t) => {
    const value = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await t.client.put({ key: t.key("a"), value });
    expect(Buffer.from((await t.get("a")).kvs[0]?.value ?? [])).toEqual(value);
  });

  test("a put is visible to the next linearizable range of another client", async (t) => {
    for (let round = 0; round < 20; round += 1) {
      await t.put("a", String(round));
      expect(t.facts((await t.get("a")).kvs[0])?.value).toBe(String(round));
    }
  });
});
