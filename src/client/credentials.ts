/** The token that calls carry: fetched once for all who wait, kept until a server refuses it. */
import type { PasswordAuth, Provider, TokenAuth } from "./options.js";

export interface PasswordLogin {
  (login: { readonly name: string; readonly password: string }): Promise<string>;
}

export class Credentials {
  private readonly auth: PasswordAuth | TokenAuth | undefined;
  private readonly login: PasswordLogin;
  private current: Promise<string> | undefined;

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

  /** The token to send, or undefined without authentication. Rejects as the login does; the next call tries again. */
  async token(): Promise<string | undefined> {
    if (this.auth === undefined) return undefined;
    const asked = (this.current ??= this.fetch(this.auth));
    try {
      return await asked;
    } catch (error) {
      if (this.current === asked) this.current = undefined;
      throw error;
    }
  }

  /** Drops a token that was refused. Calls that were refused together drop it once. */
  async drop(refused: string | undefined): Promise<void> {
    const asked = this.current;
    if (asked === undefined) return;
    const held = await asked.catch(() => refused);
    if (held === refused && this.current === asked) this.current = undefined;
  }

  private async fetch(auth: PasswordAuth | TokenAuth): Promise<string> {
    if (!("username" in auth)) return provided(auth.token);
    return this.login({ name: auth.username, password: await provided(auth.password) });
  }
}

async function provided(provider: Provider<string>): Promise<string> {
  return typeof provider === "string" ? provider : provider();
}
