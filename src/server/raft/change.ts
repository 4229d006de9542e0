/**
 * The bytes of a `change` entry: what the core needs to know of a membership change, in front of the command that the
 * state machine applies. One byte for the kind of change, eight for the member (big-endian), then the command.
 */
import { invariant } from "../invariant.js";
import type { MembershipChange } from "./types.js";

const ops: readonly MembershipChange["op"][] = ["addVoter", "addLearner", "promote", "remove", "update"];
const headBytes = 9;

/** A `change` entry taken apart. `command` is a view into the entry's data. */
export interface DecodedChange {
  readonly change: MembershipChange;
  readonly command: Uint8Array;
}

export function encodeChange(change: MembershipChange, command: Uint8Array): Uint8Array {
  const data = new Uint8Array(headBytes + command.length);
  data[0] = ops.indexOf(change.op);
  new DataView(data.buffer).setBigUint64(1, change.member);
  data.set(command, headBytes);
  return data;
}

export function decodeChange(data: Uint8Array): DecodedChange {
  const op = ops[data[0] ?? ops.length];
  invariant(op !== undefined && data.length >= headBytes, "a membership change in the log cannot be read", {
    bytes: data.length,
  });
  const member = new DataView(data.buffer, data.byteOffset).getBigUint64(1);
  return { change: { op, member }, command: data.subarray(headBytes) };
}
