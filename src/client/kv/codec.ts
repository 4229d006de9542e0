/** How values become bytes and come back. */
import type { Bytes } from "../options.js";
import type { Codec } from "./types.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Text as UTF-8; bytes that are no UTF-8 become U+FFFD, so use `bytes` for binary values. */
export const utf8: Codec<string> = {
  encode: (text) => encoder.encode(text),
  decode: (value) => decoder.decode(value),
};

/** Bytes as they are. */
export const bytes: Codec<Bytes> = {
  encode: (value) => value,
  decode: (value) => value,
};

/** The part of the Standard Schema interface that `json` calls, so that any validator with it fits. */
export interface StandardSchema<T> {
  readonly "~standard": {
    readonly validate: (value: unknown) => StandardResult<T> | Promise<StandardResult<T>>;
  };
}
type StandardResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** JSON text; what is read passes the schema, if one is given. Decoding throws a TypeError for what does not. */
export function json<T = unknown>(schema?: StandardSchema<T>): Codec<T> {
  return {
    encode: (value) => encoder.encode(JSON.stringify(value)),
    decode: (value) => {
      const parsed: unknown = JSON.parse(decoder.decode(value));
      return schema === undefined ? (parsed as T) : validated(schema, parsed);
    },
  };
}

function validated<T>(schema: StandardSchema<T>, parsed: unknown): T {
  const result = schema["~standard"].validate(parsed);
  if (result instanceof Promise) throw new TypeError("a codec's schema must validate synchronously");
  if (result.issues === undefined) return result.value;
  throw new TypeError(`the value does not fit its schema: ${result.issues.map((issue) => issue.message).join("; ")}`);
}
