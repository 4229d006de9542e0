/** Failures on their way between threads: an error loses its class on the way, so it travels as a description. */
import { InvariantError } from "../../invariant.js";
import { type FailureReason, type RefusalReason, StorageFailure, StorageRefused } from "../../storage/failure.js";

/** An error that can be handed to another thread. */
export interface PackedError {
  readonly kind: "failure" | "refused" | "invariant" | "other";
  readonly message: string;
  readonly reason: string | undefined;
  readonly stack: string | undefined;
  /** The numbers of a broken invariant, as JSON; 64-bit numbers as text. */
  readonly details: string;
}

export function packError(error: unknown): PackedError {
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
  const packed = { message, stack, reason: undefined, details: "{}" };
  if (error instanceof StorageFailure) return { ...packed, kind: "failure", reason: error.reason };
  if (error instanceof StorageRefused) return { ...packed, kind: "refused", reason: error.reason };
  if (error instanceof InvariantError) return { ...packed, kind: "invariant", details: detailsOf(error) };
  return { ...packed, kind: "other" };
}

/** An error of the same class, message and stack as the one that was packed. */
export function unpackError(packed: PackedError): Error {
  const error = withClass(packed);
  error.message = packed.message;
  if (packed.stack !== undefined) error.stack = packed.stack;
  return error;
}

function withClass({ kind, message, reason, details }: PackedError): Error {
  switch (kind) {
    case "failure":
      return new StorageFailure(reason as FailureReason, message);
    case "refused":
      return new StorageRefused(reason as RefusalReason, message);
    case "invariant":
      return new InvariantError(message, JSON.parse(details) as Record<string, unknown>);
    case "other":
      return new Error(message);
  }
}

function detailsOf({ details }: InvariantError): string {
  return JSON.stringify(details, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
}
