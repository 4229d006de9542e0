/** Web tokens: every method, and keys that do not fit. What calls with bad ones come to is in the conformance suite. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { afterAll, describe, expect, it } from "vitest";
import { status } from "../../../../proto/status.js";
import { JwtTokens, type JwtTokensOptions } from "../../../../src/server/api/auth/jwt-tokens.js";
import { like } from "../wire.js";

const dir = mkdtempSync(join(tmpdir(), "litecd-jwt-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface KeyFiles {
  readonly publicKeyFile: string;
  readonly privateKeyFile: string;
}

const pairOf = {
  RS: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  PS: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  ES512: () => generateKeyPairSync("ec", { namedCurve: "P-521" }),
  Ed: () => generateKeyPairSync("ed25519"),
} as const;

let files = 0;

function keyFiles(kind: keyof typeof pairOf): KeyFiles {
  const { publicKey, privateKey } = pairOf[kind]();
  files += 1;
  const [publicKeyFile, privateKeyFile] = [join(dir, `${files}.pub`), join(dir, `${files}.key`)];
  writeFileSync(publicKeyFile, publicKey.export({ type: "spki", format: "pem" }));
  writeFileSync(privateKeyFile, privateKey.export({ type: "pkcs8", format: "pem" }));
  return { publicKeyFile, privateKeyFile };
}

let nowMs = Date.parse("2026-01-01");
const clock = { wallMs: () => nowMs };

function open(method: string, keys: Partial<KeyFiles>): Promise<JwtTokens> {
  const none = { publicKeyFile: undefined, privateKeyFile: undefined };
  return JwtTokens.open({ method, ttlMs: 60_000, clock, ...none, ...keys } satisfies JwtTokensOptions);
}

const alice = { user: "alice", authRevision: 7 };

describe("a web token", () => {
  const rsa = keyFiles("RS");
  const methods: readonly (readonly [string, Partial<KeyFiles>])[] = [
    ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map((method) => [method, rsa] as const),
    ["ES256", keyFiles("ES256")],
    ["ES384", keyFiles("ES384")],
    ["ES512", keyFiles("ES512")],
    ["EdDSA", keyFiles("Ed")],
  ];

  it.each(methods)("signed with %s says who and for which revision, for its time", async (method, keys) => {
    const tokens = await open(method, keys);
    const token = await tokens.assign(alice);
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: method });
    expect(decodeJwt(token)).toEqual({ username: "alice", revision: 7, exp: nowMs / 1000 + 60 });
    expect(await tokens.identify(token)).toEqual(alice);
    nowMs += 59_999;
    expect(await tokens.identify(token)).toEqual(alice);
    nowMs += 1;
    expect(await tokens.identify(token)).toBeUndefined();
  });

  it("signed with a secret needs one file", async () => {
    const privateKeyFile = join(dir, "secret");
    writeFileSync(privateKeyFile, randomBytes(64));
    const tokens = await open("HS256", { privateKeyFile });
    expect(await tokens.identify(await tokens.assign(alice))).toEqual(alice);
    await expect(open("HS256", { publicKeyFile: privateKeyFile })).rejects.toThrow("sign-method=HS256 needs priv-key");
  });

  it("of another member is good, also where there is only the public key, which gives out none", async () => {
    const issuer = await open("RS256", { privateKeyFile: rsa.privateKeyFile });
    const verifier = await open("RS256", { publicKeyFile: rsa.publicKeyFile });
    expect(await verifier.identify(await issuer.assign(alice))).toEqual(alice);
    await expect(verifier.assign(alice)).rejects.toMatchObject(like(status.TokenVerifyOnly));
  });

  it("of another method of the same key is no good", async () => {
    const token = await (await open("PS256", rsa)).assign(alice);
    expect(await (await open("RS256", rsa)).identify(token)).toBeUndefined();
  });

  it("is not remembered beyond the thousand that were used last, and still good", async () => {
    const tokens = await open("ES256", keyFiles("ES256"));
    const all: string[] = [];
    for (let revision = 1; revision <= 1100; revision += 1) {
      all.push(await tokens.assign({ user: "alice", authRevision: revision }));
      await tokens.identify(all.at(-1) ?? "");
    }
    expect(await tokens.identify(all[0] ?? "")).toEqual({ user: "alice", authRevision: 1 });
  });

  it("is no garbage, however long", async () => {
    const tokens = await open("RS256", rsa);
    for (const garbage of ["", ".", "..", "a.b.c", "{}", "\0", "é.é.é", "x".repeat(100_000), ".".repeat(100_000)]) {
      expect(await tokens.identify(garbage), garbage.slice(0, 10)).toBeUndefined();
    }
  });
});

describe("a server does not start with", () => {
  const rsa = keyFiles("RS");
  const cases: readonly (readonly [string, string, Partial<KeyFiles>, RegExp])[] = [
    ["no key", "RS256", {}, /needs pub-key or priv-key/],
    ["a file that is not there", "RS256", { privateKeyFile: join(dir, "none") }, /priv-key cannot be read: ENOENT/],
    ["a private key that is public", "RS256", { privateKeyFile: rsa.publicKeyFile }, /priv-key holds no key in PEM/],
    ["a key of another kind", "ES256", rsa, /does not fit sign-method=ES256/],
    [
      "a public key of another kind",
      "EdDSA",
      { publicKeyFile: rsa.publicKeyFile },
      /key \(rsa\) does not fit sign-method=EdDSA/,
    ],
    ["a key of another curve", "ES256", keyFiles("ES384"), /key \(ec secp384r1\) does not fit sign-method=ES256/],
    ["keys that are no pair", "RS256", { ...rsa, publicKeyFile: keyFiles("RS").publicKeyFile }, /are no pair/],
  ];
  it.each(cases)("%s", async (_what, method, keys, complaint) => {
    await expect(open(method, keys)).rejects.toThrow(complaint);
  });
});
