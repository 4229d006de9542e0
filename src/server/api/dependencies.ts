/** What the services are built from, and how they count what they do. */
import type { Replica } from "../replica/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { WatchHub } from "../watch/hub.js";
import type { Guard } from "./auth/identity.js";
import type { Passwords } from "./auth/passwords.js";
import type { TokenProvider } from "./auth/tokens.js";
import type { ApiLimits } from "./types.js";

/** Calls that reached the store, for metrics. */
export type CountedCall = "range" | "put" | "deleteRange" | "txn" | "leaseGrant" | "leaseRevoke" | "leaseRenew";

export interface ApiDependencies {
  readonly replica: Replica;
  readonly hub: WatchHub;
  readonly limits: ApiLimits;
  readonly tokens: TokenProvider;
  readonly passwords: Passwords;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called once for each successful call. */
  readonly onCall?: (call: CountedCall) => void;
}

/** What the handlers are built from: who calls is found in one place for all of them. */
export interface GuardedDependencies extends ApiDependencies {
  readonly guard: Guard;
}
