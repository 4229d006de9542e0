/** Who calls, from what comes with the call (spec/server.md 8.2). What he may is decided elsewhere, by what he asks for. */
import { status, WireError } from "../../../../proto/status.js";
import type { Replica } from "../../replica/types.js";
import { type Caller, nobody } from "../../state/auth/types.js";
import type { CallContext } from "../types.js";
import type { TokenProvider } from "./tokens.js";

export interface GuardOptions {
  readonly replica: Replica;
  readonly tokens: TokenProvider;
}

const bearer = "Bearer ";

export class Guard {
  private readonly options: GuardOptions;

  constructor(options: GuardOptions) {
    this.options = options;
  }

  /**
   * The user whose token or certificate comes with the call. While authentication is off everybody is nobody, whatever he
   * brings. Rejects with InvalidAuthToken.
   */
  async caller(context: CallContext): Promise<Caller> {
    const auth = this.options.replica.state.auth();
    if (!auth.enabled) return nobody;
    const { metadata, certificateName } = context;
    const token = metadata.get("token")?.[0] ?? metadata.get("authorization")?.[0];
    if (token !== undefined) return this.ofToken(token, context);
    // The gateway calls with the server's own certificate, which says nothing about whoever called the gateway.
    const named = certificateName !== undefined && certificateName !== "" && !metadata.has("grpcgateway-accept");
    return named ? { kind: "user", name: certificateName, authRevision: auth.revision } : nobody;
  }

  /** Rejects unless the caller has the role root, as far as this member knows. */
  async admin(context: CallContext): Promise<Caller> {
    const caller = await this.caller(context);
    this.options.replica.state.auth().assertAdmin(caller);
    return caller;
  }

  /** Rejects unless the caller is a user. */
  async user(context: CallContext): Promise<Caller> {
    const caller = await this.caller(context);
    this.options.replica.state.auth().assertUser(caller);
    return caller;
  }

  private async ofToken(token: string, context: CallContext): Promise<Caller> {
    const bare = token.startsWith(bearer) ? token.slice(bearer.length) : token;
    const identity = await this.options.tokens.identify(bare, context);
    if (identity === undefined) throw new WireError(status.InvalidAuthToken);
    return { kind: "user", name: identity.user, authRevision: identity.authRevision };
  }
}
