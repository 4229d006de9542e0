/**
 * The simple tokens that are good, as every member keeps them from what it applies. In memory only, as in etcd: a member
 * that starts again knows none of them. It holds no token itself, only the digests of their secrets.
 */
import { timingSafeEqual } from "node:crypto";
import type { Clock } from "../../runtime/clock.js";
import type { Applied } from "../../state/types.js";

interface Token {
  readonly user: string;
  readonly secretDigest: Uint8Array;
  readonly goodUntilMs: number;
}

export interface TokenBookOptions {
  readonly clock: Pick<Clock, "monotonicMs">;
  /** How long a token stays good that nobody uses. */
  readonly ttlMs: number;
}

export class TokenBook {
  private readonly options: TokenBookOptions;
  /** By index. All live equally long, and a use puts a token behind all others: those that end first come first. */
  private readonly tokens = new Map<number, Token>();

  constructor(options: TokenBookOptions) {
    this.options = options;
  }

  get count(): number {
    return this.tokens.size;
  }

  /** To be told of everything that is applied, before the calls that wait for it are answered. */
  applied(batch: readonly Applied[]): void {
    for (const { index, auth } of batch) {
      if (auth === undefined) continue;
      switch (auth.kind) {
        case "tokenAssigned":
          this.dropExpired();
          this.keep(index, auth);
          break;
        case "userTokensVoid":
          for (const [key, { user }] of this.tokens) if (user === auth.user) this.tokens.delete(key);
          break;
        case "allTokensVoid":
          this.tokens.clear();
          break;
        case "changed":
      }
    }
  }

  /** The state was replaced by a later one: which tokens it would have ended nobody knows here. */
  restored(): void {
    this.tokens.clear();
  }

  /** The user of a token, whose time begins anew; undefined if there is no such token (any more). */
  use(index: number, secretDigest: Uint8Array): string | undefined {
    const token = this.tokens.get(index);
    if (token === undefined || !timingSafeEqual(token.secretDigest, secretDigest)) return undefined;
    this.tokens.delete(index);
    if (token.goodUntilMs <= this.options.clock.monotonicMs()) return undefined;
    this.keep(index, token);
    return token.user;
  }

  private keep(index: number, { user, secretDigest }: Pick<Token, "user" | "secretDigest">): void {
    const goodUntilMs = this.options.clock.monotonicMs() + this.options.ttlMs;
    this.tokens.set(index, { user, secretDigest, goodUntilMs });
  }

  private dropExpired(): void {
    const nowMs = this.options.clock.monotonicMs();
    for (const [index, { goodUntilMs }] of this.tokens) {
      if (goodUntilMs > nowMs) return;
      this.tokens.delete(index);
    }
  }
}
