/**
 * What cannot happen. A broken invariant stops the member with the numbers that prove it; it is never a log line.
 */

/** Thrown by {@link invariant}; nothing may catch it except the code that ends the process. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>>) {
    super(`${message} ${describe(details)}`);
    this.details = details;
  }
}

/** Stops the member unless `condition` holds. `details` are the numbers that prove the failure. */
export function invariant(
  condition: boolean,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): asserts condition {
  if (!condition) throw new InvariantError(message, details);
}

function describe(details: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(details, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
}
