/** How values become bytes and come back. */
import type { Bytes } from "../options.js";
import type { Codec } from "./types.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Text as UTF-8; bytes that are no UTF-8 become U+FFFD, so use `bytes` for binary values. */
export const utf8: Codec<string> = {
  encode: (text) => encoder.encode(text),
  decode: (value) => decoder.decode(value),
  borrows: true,
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
  | { readonly issues: readonly StandardIssue[] };
interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * JSON text; what is read passes the schema, if one is given, and is what the schema makes of it. Encoding throws a
 * TypeError for what JSON cannot say, decoding for what is no JSON or does not fit. The schema must be synchronous.
 */
export function json<T = unknown>(schema?: StandardSchema<T>): Codec<T> {
  return {
    encode: (value) => {
      const text: string | undefined = JSON.stringify(value);
      if (text === undefined) throw new TypeError(`JSON has no word for ${typeof value}`);
      return encoder.encode(text);
    },
    decode: (value) => {
      const parsed = parse(value);
      return schema === undefined ? (parsed as T) : validated(schema, parsed);
    },
    borrows: true,
  };
}

/** For JSON.stringify: a bigint becomes its decimal digits, bytes become base64, as in protobuf's JSON. */
export function jsonReplacer(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
}

/** JavaScript's own errors quote the text, and values may be secrets. */
function parse(value: Bytes): unknown {
  try {
    return JSON.parse(strictDecoder.decode(value));
  } catch {
    throw new TypeError(`the value is no JSON (${value.length} bytes)`);
  }
}

function validated<T>(schema: StandardSchema<T>, parsed: unknown): T {
  const result = schema["~standard"].validate(parsed);
  if (result instanceof Promise) {
    // Nobody waits for it; its failure must not end the process.
    result.catch(() => {});
    throw new TypeError("the schema of a codec must validate synchronously");
  }
  if (result.issues === undefined) return result.value;
  throw new TypeError(`the value does not fit its schema: ${result.issues.map(issueText).join("; ")}`);
}

function issueText({ message, path = [] }: StandardIssue): string {
  const steps = path.map((step) => String(typeof step === "object" ? step.key : step));
  return steps.length === 0 ? message : `${steps.join(".")}: ${message}`;
}
