/**
 * Tokens that say by themselves who somebody is and for which auth revision, signed with a key of the operator's. Only the
 * configured method counts, whatever a token says of itself. With a public key alone a member can check tokens and issue none.
 */
import { createHash, createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import type * as Jose from "jose";
import { status, WireError } from "../../../../proto/status.js";
import type { Clock } from "../../runtime/clock.js";
import type { Identity, TokenProvider } from "./tokens.js";

export interface JwtTokensOptions {
  /** RS256 and so on, as JWT names them. */
  readonly method: string;
  /** Paths of PEM files; for HS methods the private key's file is the secret, byte for byte. */
  readonly publicKeyFile: string | undefined;
  readonly privateKeyFile: string | undefined;
  readonly ttlMs: number;
  readonly clock: Pick<Clock, "wallMs">;
}

/** What a token that was good once is good for. */
interface Known {
  readonly identity: Identity;
  readonly goodUntilMs: number;
}

/** Tokens whose signature need not be checked again. */
const knownMax = 1024;

/** The keys of the flag `--auth-token` cannot be used. */
export class JwtKeyError extends Error {
  override readonly name = "JwtKeyError";
}

interface Keys {
  readonly sign: KeyObject | undefined;
  readonly verify: KeyObject;
}

export class JwtTokens implements TokenProvider {
  private readonly options: JwtTokensOptions;
  private readonly jose: typeof Jose;
  private readonly keys: Keys;
  /** By digest, the one that was not used for longest first. */
  private readonly known = new Map<string, Known>();

  private constructor(options: JwtTokensOptions, jose: typeof Jose, keys: Keys) {
    this.options = options;
    this.jose = jose;
    this.keys = keys;
  }

  /** Rejects with {@link JwtKeyError}. */
  static async open(options: JwtTokensOptions): Promise<JwtTokens> {
    const tokens = new JwtTokens(options, await loadJose(), await readKeys(options));
    await tokens.tryKeys();
    return tokens;
  }

  async assign({ user, authRevision }: Identity): Promise<string> {
    const { sign } = this.keys;
    if (sign === undefined) throw new WireError(status.TokenVerifyOnly);
    const { clock, ttlMs, method } = this.options;
    const expirationSeconds = Math.floor((clock.wallMs() + ttlMs) / 1000);
    return new this.jose.SignJWT({ username: user, revision: authRevision })
      .setProtectedHeader({ alg: method, typ: "JWT" })
      .setExpirationTime(expirationSeconds)
      .sign(sign);
  }

  async identify(token: string): Promise<Identity | undefined> {
    const digest = createHash("sha256").update(token).digest("base64");
    const found = this.known.get(digest);
    this.known.delete(digest);
    const known = found ?? (await this.verify(token));
    if (known === undefined || known.goodUntilMs <= this.options.clock.wallMs()) return undefined;
    this.known.set(digest, known);
    for (const oldest of this.known.keys()) {
      if (this.known.size <= knownMax) break;
      this.known.delete(oldest);
    }
    return known.identity;
  }

  /** Undefined unless the signature is right, the time is not over, and the claims are there and of the right form. */
  private async verify(token: string): Promise<Known | undefined> {
    const { username, revision, exp } = (await this.payloadOf(token)) ?? {};
    const named = typeof username === "string" && username !== "";
    if (!named || typeof revision !== "number" || !Number.isSafeInteger(revision)) return undefined;
    const goodUntilMs = exp === undefined ? Number.POSITIVE_INFINITY : exp * 1000;
    return { identity: { user: username, authRevision: revision }, goodUntilMs };
  }

  private async payloadOf(token: string): Promise<Jose.JWTPayload | undefined> {
    const { method, clock } = this.options;
    const options = { algorithms: [method], currentDate: new Date(clock.wallMs()) };
    try {
      return (await this.jose.jwtVerify(token, this.keys.verify, options)).payload;
    } catch (error) {
      // Whatever is wrong with a token, its bearer is told no more than that.
      if (error instanceof this.jose.errors.JOSEError) return undefined;
      throw error;
    }
  }

  /** Keys that are too short, or no pair, are found at the start, and not by the first caller. */
  private async tryKeys(): Promise<void> {
    if (this.keys.sign === undefined) return;
    const token = await this.sample();
    if ((await this.payloadOf(token)) !== undefined) return;
    throw new JwtKeyError("auth-token: the public key and the private key are no pair");
  }

  private async sample(): Promise<string> {
    try {
      return await this.assign({ user: "sample", authRevision: 1 });
    } catch (cause) {
      throw new JwtKeyError(`auth-token: the private key does not fit sign-method=${this.options.method}`, { cause });
    }
  }
}

/** The kind of key that a method needs, as Node names it, with its curve; all others need RSA keys. */
const kinds = new Map([
  ["ES256", "ec prime256v1"],
  ["ES384", "ec secp384r1"],
  ["ES512", "ec secp521r1"],
  ["EdDSA", "ed25519"],
]);

function assertFits(method: string, { asymmetricKeyType, asymmetricKeyDetails }: KeyObject): void {
  const kind = [asymmetricKeyType, asymmetricKeyDetails?.namedCurve].filter((part) => part !== undefined).join(" ");
  const needed = kinds.get(method) ?? "rsa";
  if (kind !== needed)
    throw new JwtKeyError(`auth-token: the key (${kind}) does not fit sign-method=${method} (${needed})`);
}

async function loadJose(): Promise<typeof Jose> {
  try {
    return await import("jose");
  } catch (cause) {
    throw new JwtKeyError('auth-token: jwt needs the package "jose", which is not installed', { cause });
  }
}

/** The public key is part of the private one, so one file is enough. */
async function readKeys({ method, publicKeyFile, privateKeyFile }: JwtTokensOptions): Promise<Keys> {
  const privatePem = privateKeyFile === undefined ? undefined : await readKey("priv-key", privateKeyFile);
  const publicPem = publicKeyFile === undefined ? undefined : await readKey("pub-key", publicKeyFile);
  if (method.startsWith("HS")) {
    if (privatePem === undefined) throw new JwtKeyError(`auth-token: sign-method=${method} needs priv-key`);
    const secret = createSecretKey(privatePem);
    return { sign: secret, verify: secret };
  }
  const sign = privatePem === undefined ? undefined : parsed("priv-key", () => createPrivateKey(privatePem));
  const source = publicPem ?? sign;
  if (source === undefined) throw new JwtKeyError(`auth-token: sign-method=${method} needs pub-key or priv-key`);
  const verify = parsed("pub-key", () => createPublicKey(source));
  assertFits(method, sign ?? verify);
  assertFits(method, verify);
  return { sign, verify };
}

async function readKey(option: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new JwtKeyError(`auth-token: ${option} cannot be read: ${reasonOf(cause)}`, { cause });
  }
}

function parsed(option: string, parse: () => KeyObject): KeyObject {
  try {
    return parse();
  } catch (cause) {
    throw new JwtKeyError(`auth-token: ${option} holds no key in PEM: ${reasonOf(cause)}`, { cause });
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
