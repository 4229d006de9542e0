/** The token that calls carry: fetched once for all who wait, kept until a server refuses it. */
import type { PasswordAuth, Provider, TokenAuth } from "../options.js";

export interface PasswordLogin {
  (login: { readonly name: string; readonly password: string }): Promise<string>;
}

export class Credentials {
  private readonly auth: PasswordAuth | TokenAuth | undefined;
  private readonly login: PasswordLogin;
  private held: string | undefined;
  private fetching: Promise<string> | undefined;

  /** `login` is the Authenticate call; it must not itself ask for a token. */
  constructor(auth: PasswordAuth | TokenAuth | undefined, login: PasswordLogin) {
    this.auth = auth;
    this.login = login;
  }

  /** Whether a refused token can be replaced by another: a fixed token can not. */
  get canRefresh(): boolean {
    if (this.auth === undefined) return false;
    return "username" in this.auth || typeof this.auth.token === "function";
  }

  /** The token to send, or undefined without authentication; a promise while there is none to send yet. */
  token(): string | undefined | Promise<string> {
    return this.auth === undefined ? undefined : (this.held ?? this.fetchOnce(this.auth));
  }

  /** Forgets a token that was refused, unless another has taken its place. */
  drop(refused: string | undefined): void {
    if (this.held === refused) this.held = undefined;
  }

  /** One login for all who wait. Rejects as the login does; the next call tries again. */
  private async fetchOnce(auth: PasswordAuth | TokenAuth): Promise<string> {
    this.fetching ??= this.fetch(auth).finally(() => {
      this.fetching = undefined;
    });
    this.held = await this.fetching;
    return this.held;
  }

  private async fetch(auth: PasswordAuth | TokenAuth): Promise<string> {
    if (!("username" in auth)) return provided(auth.token);
    return this.login({ name: auth.username, password: await provided(auth.password) });
  }
}

async function provided(provider: Provider<string>): Promise<string> {
  return typeof provider === "string" ? provider : provider();
}
