/** As much of DER as it takes to read a revocation list: tags, lengths, contents. */

/** Bytes that are no DER, or not what they should be. */
export class DerError extends Error {
  override readonly name = "DerError";
}

export interface DerValue {
  /** The first byte: class, form and number. */
  readonly tag: number;
  readonly content: Uint8Array;
}

export const tags = { integer: 0x02, sequence: 0x30, utcTime: 0x17, generalizedTime: 0x18 } as const;

/** The values that stand one after the other in `bytes`. Throws {@link DerError} unless they fill them exactly. */
export function valuesIn(bytes: Uint8Array): readonly DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { value, next } = valueAt(bytes, at);
    values.push(value);
    at = next;
  }
  return values;
}

/** What a constructed value of this tag holds. Throws {@link DerError}. */
export function contentOf(value: DerValue | undefined, tag: number): readonly DerValue[] {
  if (value?.tag !== tag) throw new DerError(`expected tag ${tag} and found ${value?.tag ?? "nothing"}`);
  return valuesIn(value.content);
}

/** A whole number of any size. Throws {@link DerError}. */
export function integerOf(value: DerValue | undefined): bigint {
  if (value?.tag !== tags.integer || value.content.length === 0) throw new DerError("expected a whole number");
  const hex = Buffer.from(value.content).toString("hex");
  return BigInt.asIntN(value.content.length * 8, BigInt(`0x${hex}`));
}

function valueAt(bytes: Uint8Array, start: number): { readonly value: DerValue; readonly next: number } {
  const tag = bytes[start] ?? 0;
  if ((tag & 0x1f) === 0x1f) throw new DerError("a tag is too long");
  const { length, contentAt } = lengthAt(bytes, start + 1);
  const next = contentAt + length;
  if (next > bytes.length) throw new DerError("a value is longer than what holds it");
  return { value: { tag, content: bytes.subarray(contentAt, next) }, next };
}

/** Longest length field that is read: 4 GiB, and no file is that long. */
const lengthBytesMax = 4;

function lengthAt(bytes: Uint8Array, at: number): { readonly length: number; readonly contentAt: number } {
  const first = bytes[at];
  if (first === undefined) throw new DerError("a value ends before its length");
  if (first < 0x80) return { length: first, contentAt: at + 1 };
  const count = first & 0x7f;
  if (count === 0 || count > lengthBytesMax || at + count >= bytes.length)
    throw new DerError("a length cannot be read");
  let length = 0;
  for (let index = 1; index <= count; index += 1) length = length * 256 + (bytes[at + index] ?? 0);
  return { length, contentAt: at + 1 + count };
}
