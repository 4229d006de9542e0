/** The bytes of a log entry: one replicated command and the call that waits for it. */
import { Command } from "../../../proto/gen/internal/command.js";
import { invariant } from "../invariant.js";
import { type Caller, nobody, theServer } from "./auth/types.js";
import type { CommandBody, RequestId } from "./types.js";

/** A decoded log entry. Bytes inside `body` are views into the entry's data. */
export interface DecodedCommand {
  readonly request: RequestId;
  readonly caller: Caller;
  readonly body: CommandBody;
}

export function encodeCommand(request: RequestId, body: CommandBody, caller: Caller = nobody): Uint8Array {
  const { origin, boot, sequence } = request;
  return Command.encode({ origin, boot, sequence: BigInt(sequence), caller: wireCaller(caller), body }).finish();
}

function wireCaller(caller: Caller): Command["caller"] {
  switch (caller.kind) {
    case "nobody":
      return undefined;
    case "server":
      return { user: "", authRevision: 0n, server: true };
    case "user":
      return { user: caller.name, authRevision: BigInt(caller.authRevision), server: false };
  }
}

function callerOf(caller: Command["caller"]): Caller {
  if (caller === undefined) return nobody;
  if (caller.server) return theServer;
  return { kind: "user", name: caller.user, authRevision: Number(caller.authRevision) };
}

/** A command that this version does not know stops the member: skipping it would make the members differ. */
export function decodeCommand(data: Uint8Array): DecodedCommand {
  const { origin, boot, sequence, caller, body } = Command.decode(data);
  invariant(body !== undefined, "a log entry holds a command that this version does not know", { boot, sequence });
  return { request: { origin, boot, sequence: Number(sequence) }, caller: callerOf(caller), body };
}
