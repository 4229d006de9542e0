/** The one error of reading a flag's value. */

/** A value that its flag does not take; the message completes the sentence "--flag ...". */
export class BadValue extends Error {
  override readonly name = "BadValue";
}
