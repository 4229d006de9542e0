/** Passwords: hashed and checked in threads of their own. */
import { afterEach, describe, expect, it } from "vitest";
import { status } from "../../../../proto/status.js";
import { isBcryptCost, PasswordThreads } from "../../../../src/server/api/auth/passwords.js";
import { like } from "../wire.js";

const open: PasswordThreads[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((passwords) => passwords.close()));
});

function threads(cost: number): PasswordThreads {
  const passwords = new PasswordThreads({ cost });
  open.push(passwords);
  return passwords;
}

const { signal } = new AbortController();

describe("passwords", () => {
  it("match the hash that was made of them, with the cost that was asked for, and no other", async () => {
    const passwords = threads(5);
    const hash = await passwords.hash("päss\0word", { signal });
    expect(hash).toMatch(/^\$2[aby]\$05\$.{53}$/);
    expect(await passwords.hash("päss\0word", { signal })).not.toBe(hash);
    expect(await passwords.matches("päss\0word", hash, { signal })).toBe(true);
    expect(await passwords.matches("päss", hash, { signal })).toBe(false);
  });

  it("match the hashes of other makes of bcrypt", async () => {
    // Of the word "U*U", from the test vectors of bcrypt's author.
    const hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    expect(await threads(4).matches("U*U", hash, { signal })).toBe(true);
  });

  it.each([undefined, "", "not a hash", `$2b$04$${"!".repeat(53)}`])("never match %j", async (hash) => {
    for (const password of ["", "not a hash", ".".repeat(53)]) {
      expect(await threads(4).matches(password, hash, { signal })).toBe(false);
    }
  });

  it("do not hold up the event loop", async () => {
    const passwords = threads(10);
    await passwords.hash("warm", { signal });
    const busyBefore = performance.eventLoopUtilization();
    await Promise.all(Array.from({ length: 6 }, () => passwords.hash("password", { signal })));
    // Six of them are some 300 ms of work; what this thread did in that time is next to nothing.
    expect(performance.eventLoopUtilization(busyBefore).active).toBeLessThan(150);
  });

  it("that nobody waits for any more are not looked at, and too many are refused", async () => {
    const passwords = threads(8);
    const gone = new AbortController();
    const outcomes = Array.from({ length: 300 }, () => passwords.hash("p", { signal: gone.signal }));
    const settled = Promise.allSettled(outcomes);
    gone.abort();
    const reasons = (await settled).map((one) => (one.status === "rejected" ? String(one.reason.message) : "hashed"));
    expect(reasons.filter((reason) => reason === status.TooManyRequests.message).length).toBeGreaterThan(20);
    expect(reasons.filter((reason) => reason === status.Canceled.message).length).toBeGreaterThan(200);
    expect(reasons.filter((reason) => reason === "hashed").length).toBeLessThan(10);
  });

  it("are refused once it is closed, also those that wait", async () => {
    const passwords = threads(12);
    const waiting = passwords.hash("p", { signal });
    const closed = expect(waiting).rejects.toMatchObject(like(status.Stopped));
    await passwords.close();
    await closed;
    await expect(passwords.hash("p", { signal })).rejects.toMatchObject(like(status.Stopped));
  });
});

it("bcrypt knows costs from 4 to 31", () => {
  expect([3, 4, 10, 31, 32, 4.5].map(isBcryptCost)).toEqual([false, true, true, true, false, false]);
});
