/** The token that calls carry: fetched once for all who wait, kept until a server refuses it. */
import { Code } from "../../../proto/status.js";
import { EtcdError, isEtcdError } from "../errors.js";
import { publishToken } from "../observe/channels.js";
import type { PasswordAuth, Provider, TokenAuth } from "../options.js";

export interface PasswordLogin {
  (login: { readonly name: string; readonly password: string }): Promise<string>;
}

/** Held in place of a token while the server does not ask for one; no token is empty. */
const noToken = "";

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

  /** The token at hand, if there is one; fetches none. */
  get current(): string | undefined {
    return this.held === noToken ? undefined : this.held;
  }

  /** The token to send, or undefined without authentication; a promise while there is none to send yet. */
  token(): string | undefined | Promise<string | undefined> {
    if (this.auth === undefined) return undefined;
    return this.held === undefined ? this.fetchOnce(this.auth) : this.current;
  }

  /** Forgets a token that was refused, unless another has taken its place. */
  drop(refused: string | undefined): void {
    if (this.current === refused) this.held = undefined;
  }

  /** One login for all who wait. Rejects as the login does; the next call tries again. */
  private async fetchOnce(auth: PasswordAuth | TokenAuth): Promise<string | undefined> {
    this.fetching ??= this.fetchAndTell(auth).finally(() => {
      this.fetching = undefined;
    });
    const token = await this.fetching;
    return token === noToken ? undefined : token;
  }

  private async fetchAndTell(auth: PasswordAuth | TokenAuth): Promise<string> {
    const startedMs = performance.now();
    try {
      this.held = await this.fetch(auth);
      publishToken({ durationMs: performance.now() - startedMs, error: undefined });
      return this.held;
    } catch (error) {
      publishToken({ durationMs: performance.now() - startedMs, error });
      throw error;
    }
  }

  /** A server that does not know users yet wants no token either, until it refuses a call without one. */
  private async fetch(auth: PasswordAuth | TokenAuth): Promise<string> {
    if (!("username" in auth)) return provided(auth.token);
    const password = await provided(auth.password);
    try {
      return await this.login({ name: auth.username, password });
    } catch (error) {
      if (isEtcdError(error, "AuthNotEnabled")) return noToken;
      throw error;
    }
  }
}

/** Rejects with an EtcdError whose text says nothing of what the provider said: that may hold a secret. */
async function provided(provider: Provider<string>): Promise<string> {
  if (typeof provider === "string") return provider;
  try {
    return await provider();
  } catch (cause) {
    throw new EtcdError("the function that provides the password or the token failed", {
      code: "CredentialsFailed",
      grpcStatus: Code.UNAUTHENTICATED,
      outcome: "not-applied",
      cause,
    });
  }
}
