/**
 * Strings that can hold any bytes: UTF-8 as usual, and a byte that is no UTF-8 as a lone surrogate U+DC80..U+DCFF.
 * Go strings are bytes, JavaScript strings are not; this lets one parser serve keys of any kind.
 */

/** The text of bytes; `bytesOf` gives exactly these bytes back. */
export function byteText(bytes: Uint8Array): string {
  let text = "";
  for (const character of utf8Characters(bytes)) {
    text += typeof character === "string" ? character : String.fromCharCode(0xdc00 + character);
  }
  return text;
}

/** The bytes of a text, whether it was typed or came from `byteText`. */
export function bytesOf(text: string): Uint8Array {
  if (!/[\udc80-\udcff]/u.test(text)) return Buffer.from(text);
  return Buffer.concat(Array.from(text, characterBytes));
}

function characterBytes(character: string): Uint8Array {
  const code = character.codePointAt(0) ?? 0;
  return code >= 0xdc80 && code <= 0xdcff ? Uint8Array.of(code - 0xdc00) : Buffer.from(character);
}

/** The characters of UTF-8 bytes; a byte that starts no valid sequence comes as a number. */
export function* utf8Characters(bytes: Uint8Array): Generator<string | number> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at] ?? 0;
    const length = sequenceLength(lead);
    const character = length === 0 ? undefined : decoded(decoder, bytes.subarray(at, at + length));
    yield character ?? lead;
    at += character === undefined ? 1 : length;
  }
}

/** How long the sequence is that a byte may start; 0 if it can start none. */
function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

function decoded(decoder: InstanceType<typeof TextDecoder>, bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined; // not UTF-8: the caller shows the byte
  }
}
