/** The flag --auth-token. */
import { expect, it } from "vitest";
import { parseAuthToken } from "../../../src/server/config/auth-token.js";

it("is simple, or jwt with its options", () => {
  expect(parseAuthToken("simple")).toEqual({ kind: "simple" });
  expect(parseAuthToken("jwt,pub-key=a=b.pub,priv-key=/c,sign-method=PS384,ttl=1h30m")).toEqual({
    kind: "jwt",
    method: "PS384",
    publicKeyFile: "a=b.pub",
    privateKeyFile: "/c",
    ttlMs: 90 * 60_000,
  });
  expect(parseAuthToken("jwt,sign-method=EdDSA,priv-key=k")).toMatchObject({
    publicKeyFile: undefined,
    ttlMs: 300_000,
  });
});

it.each([
  ["paper", /must be "simple", or "jwt" with its options/],
  ["simple,ttl=1m", /must be "simple", or "jwt" with its options/],
  ["jwt", /sign-method must be one of RS256, /],
  ["jwt,sign-method=none", /sign-method must be one of/],
  ["jwt,sign-method=RS256,sign-method=HS256", /an option is given twice/],
  ["jwt,sign-method=RS256,kid=1", /there is no option kid/],
  ["jwt,sign-method=RS256,pub-key", /"pub-key" is not option=value/],
  ["jwt,sign-method=RS256,ttl=soon", /ttl/],
])("refuses %s", (text, complaint) => {
  expect(() => parseAuthToken(text)).toThrow(complaint);
});
