/** Auth commands applied to a state, on behalf of somebody. */
import type { Auth as AuthCommand } from "../../../../proto/gen/internal/command.js";
import type { Entry } from "../../../../src/server/raft/types.js";
import { type Caller, nobody } from "../../../../src/server/state/auth/types.js";
import { encodeCommand } from "../../../../src/server/state/command.js";
import type { Applied, CommandBody } from "../../../../src/server/state/types.js";
import { bytes, memberId, World } from "../world.js";

type Op = NonNullable<AuthCommand["op"]>;

export const root: Caller = { kind: "user", name: "root", authRevision: 1 };

export class AuthWorld extends World {
  /** Applies a command as somebody; returns `ok` or the text of the failure. */
  as(caller: Caller, body: CommandBody): string {
    const { result } = this.applied(body, caller);
    return result.kind === "failed" ? result.status.message : "ok";
  }

  callEntry(body: CommandBody, caller: Caller, offset = 1): Entry {
    const entry = this.entry(body, offset);
    return { ...entry, data: encodeCommand({ origin: memberId, boot: 1, sequence: entry.index }, body, caller) };
  }

  applied(body: CommandBody, caller: Caller = nobody): Applied {
    const [applied] = this.state.apply([this.callEntry(body, caller)]);
    if (applied === undefined) throw new Error("nothing was applied");
    return applied;
  }

  auth(op: Op, caller: Caller = nobody): string {
    return this.as(caller, { $case: "auth", value: { op } });
  }

  /** The credentials of a user as of now. */
  user(name: string): Caller {
    return { kind: "user", name, authRevision: this.reader.auth().revision };
  }

  addUser(name: string, roles: readonly string[] = []): void {
    this.auth({ $case: "userAdd", value: { name, passwordHash: `hash of ${name}`, noPassword: false } }, root);
    for (const role of roles) this.auth({ $case: "userGrantRole", value: { user: name, role } }, root);
  }

  /** A role that may read and write the keys from one on, up to and without another one. */
  addRole(name: string, from: string, to: string, permType: 0 | 1 | 2 = 2): void {
    this.auth({ $case: "roleAdd", value: { name } }, root);
    const perm = { permType, key: bytes(from), rangeEnd: bytes(to) };
    this.auth({ $case: "roleGrantPermission", value: { name, perm } }, root);
  }

  /** Root with its role, alice who may touch a to c, bob who may touch nothing; and authentication on. */
  enable(): void {
    this.addUser("root", ["root"]);
    this.addRole("a", "a", "c");
    this.addUser("alice", ["a"]);
    this.addUser("bob");
    this.auth({ $case: "enable", value: {} });
  }
}
