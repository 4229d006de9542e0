/** JSON as Go's encoding/json writes it: key order kept, 64-bit integers bare, bytes in base64 (spec/cli.md 7.3). */

/** A member of an object: name and JSON text; an undefined text leaves the member out, as `omitempty` does. */
export type JsonMember = readonly [name: string, value: string | undefined];

const short: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);
// Go also escapes what could end a script element, and the two line separators that JavaScript once refused.
// oxlint-disable-next-line no-control-regex -- control characters are what is being replaced
const special = /["\\<>&\u2028\u2029\u0000-\u001f]/g;

export function jsonObject(members: readonly JsonMember[]): string {
  const present = members.filter(([, value]) => value !== undefined);
  return `{${present.map(([name, value]) => `"${name}":${value}`).join(",")}}`;
}

export function jsonArray(items: readonly string[]): string {
  return `[${items.join(",")}]`;
}

export function jsonString(text: string): string {
  const escaped = text.replace(special, (character) => {
    return short.get(character) ?? `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}

export function jsonBytes(bytes: Uint8Array): string {
  return `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")}"`;
}

/** The `omitempty` forms: undefined for the zero value. */
export const optional = {
  number: (value: bigint | number): string | undefined => (BigInt(value) === 0n ? undefined : `${value}`),
  true: (value: boolean): string | undefined => (value ? "true" : undefined),
  string: (value: string): string | undefined => (value === "" ? undefined : jsonString(value)),
  bytes: (value: Uint8Array): string | undefined => (value.length === 0 ? undefined : jsonBytes(value)),
  array: (items: readonly string[]): string | undefined => (items.length === 0 ? undefined : jsonArray(items)),
};
