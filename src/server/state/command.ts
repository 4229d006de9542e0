/** The bytes of a log entry: one replicated command and the call that waits for it. */
import { Command } from "../../../proto/gen/internal/command.js";
import { invariant } from "../invariant.js";
import type { CommandBody, RequestId } from "./types.js";

/** A decoded log entry. Bytes inside `body` are views into the entry's data. */
export interface DecodedCommand {
  readonly request: RequestId;
  readonly body: CommandBody;
}

export function encodeCommand(request: RequestId, body: CommandBody): Uint8Array {
  const { origin, boot, sequence } = request;
  return Command.encode({ origin, boot, sequence: BigInt(sequence), body }).finish();
}

/** A command that this version does not know stops the member: skipping it would make the members differ. */
export function decodeCommand(data: Uint8Array): DecodedCommand {
  const { origin, boot, sequence, body } = Command.decode(data);
  invariant(body !== undefined, "a log entry holds a command that this version does not know", { boot, sequence });
  return { request: { origin, boot, sequence: Number(sequence) }, body };
}
