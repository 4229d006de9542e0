/** What proves who a caller is: tokens, whatever they look like (spec/server.md 8.2). */
import type { WaitOptions } from "../../replica/types.js";

/** Somebody whose credentials are good. */
export interface Identity {
  readonly user: string;
  /** Auth revision for which they are good. */
  readonly authRevision: number;
}

export interface TokenProvider {
  /** A token for a user whose password was right at `authRevision`. Rejects with AuthOldRevision if it has moved since. */
  assign(identity: Identity, options: WaitOptions): Promise<string>;
  /** Whose token this is; undefined if it is not good, or not any more. */
  identify(token: string, options: WaitOptions): Promise<Identity | undefined>;
}
