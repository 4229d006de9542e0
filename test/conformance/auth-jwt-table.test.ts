/**
 * Conformance: every call with JSON web tokens of every kind, good and bad, made here with the server's key and with others.
 * The table of outcomes stands in `auth-jwt-table.txt`, and a real etcd 3.5 must give the same one, except for what is listed.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT, UnsecuredJWT } from "jose";
import { afterAll } from "vitest";
import type { CallExtras } from "../support/raw-client.js";
import { jwtDifferences35 } from "./auth-differences.js";
import { authTable, populate } from "./auth-world.js";

const dir = mkdtempSync(join(tmpdir(), "litecd-jwt-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function pemPair(name: string): { readonly publicFile: string; readonly privateFile: string; readonly key: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const [publicFile, privateFile] = [join(dir, `${name}.pub`), join(dir, `${name}.key`)];
  writeFileSync(publicFile, publicKey.export({ type: "spki", format: "pem" }));
  writeFileSync(privateFile, privateKey.export({ type: "pkcs1", format: "pem" }));
  return { publicFile, privateFile, key: privateKey };
}

const { publicFile, privateFile, key } = pemPair("server");
const stranger = pemPair("stranger").key;
interface Signature {
  readonly alg?: string;
  readonly with?: KeyObject;
  readonly ends?: string;
}

interface Claims {
  readonly username?: unknown;
  readonly revision?: unknown;
}

async function signed(claims: Claims, how: Signature = {}): Promise<CallExtras> {
  const { alg = "RS256", with: signer = key, ends = "10m" } = how;
  const token = await new SignJWT({ ...claims }).setProtectedHeader({ alg }).setExpirationTime(ends).sign(signer);
  return { metadata: { token } };
}

/** Signed with what everybody knows, as if it were a secret. */
async function confused(claims: Claims): Promise<CallExtras> {
  const pem = createPublicKey(key).export({ type: "spki", format: "pem" });
  const token = await new SignJWT({ ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("10m")
    .sign(Buffer.from(pem));
  return { metadata: { token } };
}

authTable({
  title: "every kind of web token",
  file: "./auth-jwt-table.txt",
  flags: {
    "bcrypt-cost": "4",
    "auth-token": `jwt,pub-key=${publicFile},priv-key=${privateFile},sign-method=RS256,ttl=10m`,
  },
  without: "process",
  differences35: jwtDifferences35,
  actors: async (client) => {
    await populate(client);
    const rootToken = await signed({ username: "root", revision: 1 });
    const current = async (): Promise<number> => Number((await client.authStatus({}, rootToken)).authRevision);
    const now =
      (username: string, how: Signature = {}) =>
      async () =>
        signed({ username, revision: await current() }, how);
    const alice = { username: "alice", revision: await current() };
    const unsigned = new UnsecuredJWT({ ...alice }).setExpirationTime("10m").encode();
    return {
      "without rights": now("bob"),
      "with rights": now("alice"),
      root: now("root"),
      "no such user": now("nobody"),
      "old user": await signed({ username: "alice", revision: 2 }),
      "old root": await signed({ username: "root", revision: 2 }),
      "old, no user": await signed({ username: "nobody", revision: 2 }),
      expired: now("alice", { ends: "1 minute ago" }),
      "other method": now("alice", { alg: "RS384" }),
      "other key": now("alice", { with: stranger }),
      "no signature": { metadata: { token: unsigned } },
      "public key": await confused(alice),
      "no name": await signed({ revision: 1_000_000 }),
      "no revision": await signed({ username: "alice" }),
    };
  },
});
