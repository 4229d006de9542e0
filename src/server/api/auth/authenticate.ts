/** A token for a name and a password (spec/server.md 8.1). */
import type { AuthenticateRequest, AuthenticateResponse } from "../../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../../proto/status.js";
import type { GuardedDependencies } from "../dependencies.js";
import { headerNow } from "../header.js";
import type { CallContext } from "../types.js";
import type { Identity } from "./tokens.js";

/**
 * If the store changes while the password is looked at, the password is looked at again: it may be the former one. Whoever
 * guesses is not told which part was wrong, neither in words nor by the time it takes.
 */
export async function authenticate(
  deps: GuardedDependencies,
  request: AuthenticateRequest,
  context: CallContext,
): Promise<AuthenticateResponse> {
  const { replica, tokens } = deps;
  await replica.linearizableRead(context);
  for (;;) {
    const identity = await recognize(deps, request, context);
    try {
      const token = await tokens.assign(identity, context);
      return { header: headerNow(replica), token };
    } catch (error) {
      if (!(error instanceof WireError) || error.message !== status.AuthOldRevision.message) throw error;
    }
  }
}

/** Throws WireError AuthNotEnabled, AuthNoPasswordUser or AuthFailed. */
async function recognize(
  { replica, passwords }: GuardedDependencies,
  { name, password }: AuthenticateRequest,
  context: CallContext,
): Promise<Identity> {
  const auth = replica.state.auth();
  if (!auth.enabled) throw new WireError(status.AuthNotEnabled);
  const authRevision = auth.revision;
  const user = auth.user(name);
  if (user?.noPassword === true) throw new WireError(status.AuthNoPasswordUser);
  const matches = await passwords.matches(password, user?.passwordHash, context);
  if (user === undefined || !matches) throw new WireError(status.AuthFailed);
  return { user: name, authRevision };
}
