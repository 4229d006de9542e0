/** The auth store as a thread sees it that does not write it: read again when it has changed, and not before. */
import type { StateSource } from "../../storage/state-store.js";
import type { AuthSource } from "../reader.js";
import { Auth } from "./auth.js";
import type { AuthView } from "./types.js";

export class FollowedAuth implements AuthSource {
  readonly #source: StateSource;
  readonly #auth: Auth;
  /** Whether the last commit that was seen has been asked for its version. */
  #looked = false;
  /** Whether this thread was told of a change that it has not looked for. */
  #told = true;

  constructor(source: StateSource) {
    this.#source = source;
    this.#auth = new Auth(source);
  }

  /** A read sees another commit than the read before. */
  outdated(): void {
    this.#looked = false;
  }

  /** The store has changed, or may have. */
  told(): void {
    this.#told = true;
  }

  known(): AuthView {
    if (this.#told) this.#source.read(() => this.current());
    return this.#auth;
  }

  current(): AuthView {
    this.#told = false;
    if (this.#looked) return this.#auth;
    this.#looked = true;
    const version = this.#source.tables.meta.number("auth_version") ?? 0;
    if (version !== this.#auth.version) this.#auth.load();
    return this.#auth;
  }
}
