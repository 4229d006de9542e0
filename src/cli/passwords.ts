/** Where the password of `user add` and `user passwd` comes from (spec/cli.md 8.18). */
import { badArguments } from "./exit-code.js";
import { byteText } from "./input/byte-text.js";
import { askPassword } from "./prompt.js";
import { standardInput } from "./terminal.js";

/** Asks twice. Throws Failure (128) for an empty password and for two that differ. */
export async function askNewPassword(user: string): Promise<string> {
  const first = await askPassword(`Password of ${user}: `);
  if (first === "") throw badArguments("empty password");
  const second = await askPassword(`Type password of ${user} again for confirmation: `);
  if (first !== second) throw badArguments("given passwords are different");
  return first;
}

/** The first word of stdin, without a prompt; empty if there is none. */
export async function readPasswordWord(): Promise<string> {
  const line = (await standardInput.line()) ?? (await standardInput.rest());
  return byteText(line).trim().split(/\s+/u)[0] ?? "";
}
