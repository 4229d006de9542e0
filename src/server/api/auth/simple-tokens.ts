/**
 * Tokens of 16 random letters and the index of the log entry that gave them out. The entry holds the digest of the letters,
 * so every member that has applied it can tell a good token, and nobody can read one from the log.
 */
import { createHash, randomInt } from "node:crypto";
import type { Replica, WaitOptions } from "../../replica/types.js";
import type { TokenBook } from "./token-book.js";
import type { Identity, TokenProvider } from "./tokens.js";

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const secretLetters = 16;
/** The index is one that a counter of safe integers can have. */
const pattern = /^([A-Za-z]{16})\.(\d{1,15})$/;

export class SimpleTokens implements TokenProvider {
  private readonly replica: Replica;
  private readonly book: TokenBook;

  constructor(replica: Replica, book: TokenBook) {
    this.replica = replica;
    this.book = book;
  }

  async assign({ user, authRevision }: Identity, options: WaitOptions): Promise<string> {
    const secret = newSecret();
    const value = { user, secretDigest: digestOf(secret), authRevision: BigInt(authRevision) };
    const { response } = await this.replica.propose<"token">(
      { $case: "auth", value: { op: { $case: "tokenAssign", value } } },
      options,
    );
    return `${secret}.${response.index}`;
  }

  /** Another member may have given it out a moment ago: then this one has to catch up first. */
  async identify(token: string, options: WaitOptions): Promise<Identity | undefined> {
    const [, secret = "", digits = ""] = pattern.exec(token) ?? [];
    if (secret === "") return undefined;
    const index = Number(digits);
    const ahead = index > this.replica.status().appliedIndex;
    if (ahead) await this.replica.linearizableRead(options);
    const user = this.book.use(index, digestOf(secret));
    // Never old: what such a token stands for is the user as he is now.
    return user === undefined ? undefined : { user, authRevision: this.replica.state.auth().revision };
  }
}

function newSecret(): string {
  return Array.from({ length: secretLetters }, () => letters[randomInt(letters.length)]).join("");
}

function digestOf(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}
