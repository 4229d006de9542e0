/** Makes messages easy to compare: bytes become text, whatever class of array they came in. */
import { byteText } from "../../src/cli/input/byte-text.js";

/** The value with every byte array in it as byte text. */
export function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return byteText(value);
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, readable(member)]));
}
