/** How this server knows its callers: tokens and passwords, as the flags have it. Wires, never decides. */
import { JwtTokens } from "./api/auth/jwt-tokens.js";
import { bcryptCostDefault, isBcryptCost, type Passwords, PasswordThreads } from "./api/auth/passwords.js";
import { SimpleTokens } from "./api/auth/simple-tokens.js";
import { TokenBook } from "./api/auth/token-book.js";
import type { TokenProvider } from "./api/auth/tokens.js";
import type { ServerConfig } from "./config/config.js";
import type { Replica } from "./replica/types.js";
import { systemClock } from "./runtime/clock.js";
import type { Logger } from "./runtime/logger.js";
import type { Applied } from "./state/types.js";

/** Whoever opens it closes it. */
export interface Authentication {
  readonly passwords: Passwords;
  /** To be told of what is applied, and when the state was replaced. */
  readonly follower: { applied(batch: readonly Applied[]): void; restored(): void };
  tokens(replica: Replica): TokenProvider;
  close(): Promise<void>;
}

/** Rejects if the keys that the flags name cannot be read or do not fit the method. */
export async function openAuthentication(config: ServerConfig, logger: Logger): Promise<Authentication> {
  const { authToken, authTokenTtlSeconds, bcryptCost } = config;
  const cost = isBcryptCost(bcryptCost) ? bcryptCost : bcryptCostDefault;
  if (cost !== bcryptCost) logger.warn("--bcrypt-cost is none that bcrypt knows", { given: bcryptCost, used: cost });
  const book = new TokenBook({ clock: systemClock, ttlMs: authTokenTtlSeconds * 1000 });
  const tokens = await tokensOf(authToken, book);
  const passwords = new PasswordThreads({ cost });
  return { passwords, follower: book, tokens, close: () => passwords.close() };
}

async function tokensOf(
  config: ServerConfig["authToken"],
  book: TokenBook,
): Promise<(replica: Replica) => TokenProvider> {
  switch (config.kind) {
    case "simple":
      return (replica) => new SimpleTokens(replica, book);
    case "jwt": {
      const tokens = await JwtTokens.open({ ...config, clock: systemClock });
      return () => tokens;
    }
  }
}
