/** How a member makes itself known. */
import { expect, it } from "vitest";
import { status, WireError } from "../../proto/status.js";
import { publish } from "../../src/server/publish.js";
import { systemClock } from "../../src/server/runtime/clock.js";
import { silentLogger } from "../../src/server/runtime/logger.js";
import type { CommandBody } from "../../src/server/state/types.js";

const name = "one";
const clientUrls = ["http://h:1"];

/** A member whose state holds it under a name, or not at all yet, and that fails so many times; counts what it was asked. */
function world(knownName: string | undefined, failures = 0) {
  const asked: string[] = [];
  const attempt = async (what: string): Promise<never> => {
    asked.push(what);
    if (asked.length <= failures) throw new WireError(status.Timeout);
    return undefined as never;
  };
  const replica = {
    status: () => ({ memberId: 7n }),
    state: { members: () => (knownName === undefined ? [] : [{ id: 7n, name: knownName, clientUrls }]) },
    linearizableRead: () => attempt("read"),
    propose: ({ $case, value }: CommandBody) => attempt(`${$case} ${JSON.stringify((value as { name: string }).name)}`),
  };
  const stopping = new AbortController();
  const options = { replica: replica as never, clock: systemClock, logger: silentLogger, name, clientUrls };
  return { asked, stopping, publish: () => publish({ ...options, signal: stopping.signal }) };
}

it("tells its name through the log, again and again until it is heard", async () => {
  const member = world("", 2);
  await member.publish();
  expect(member.asked).toEqual(Array.from({ length: 3 }, () => 'memberPublish "one"'));
});

it("is known already, and only makes sure that there is a quorum", async () => {
  const member = world(name);
  await member.publish();
  expect(member.asked).toEqual(["read"]);
});

it("that joins waits for the state before it tells its name", async () => {
  const member = world(undefined);
  await member.publish();
  expect(member.asked).toEqual(["read", 'memberPublish "one"']);
});

it("gives up when it is told to stop, with the reason", async () => {
  const member = world("", Infinity);
  const published = member.publish();
  member.stopping.abort(new Error("enough"));
  await expect(published).rejects.toThrow("enough");
});
