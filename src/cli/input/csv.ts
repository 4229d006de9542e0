/** One record of comma separated values as Go's encoding/csv reads it: the syntax of list flags (spec/cli.md 4.1). */
import { InputError } from "./go-number.js";

/** The fields of a line; an empty line has none. Throws InputError with Go's words. */
export function parseRecord(line: string): readonly string[] {
  if (line === "") return [];
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    const field = line[at] === '"' ? quotedField(line, at) : plainField(line, at);
    fields.push(field.value);
    if (field.end >= line.length) return fields;
    at = field.end + 1; // past the comma
  }
}

interface Field {
  readonly value: string;
  /** Where the comma after it is, or the end of the line. */
  readonly end: number;
}

function plainField(line: string, start: number): Field {
  const comma = line.indexOf(",", start);
  const end = comma === -1 ? line.length : comma;
  const quote = line.slice(start, end).indexOf('"');
  if (quote !== -1) throw misplaced(line, start + quote, 'bare " in non-quoted-field');
  return { value: line.slice(start, end), end };
}

function quotedField(line: string, start: number): Field {
  let value = "";
  let at = start + 1;
  for (;;) {
    const quote = line.indexOf('"', at);
    if (quote === -1) throw misplaced(line, line.length, 'extraneous or missing " in quoted-field');
    value += line.slice(at, quote);
    const next = line[quote + 1];
    if (next === undefined || next === ",") return { value, end: quote + 1 };
    if (next !== '"') throw misplaced(line, quote, 'extraneous or missing " in quoted-field');
    value += '"';
    at = quote + 2;
  }
}

function misplaced(line: string, index: number, problem: string): InputError {
  const column = Buffer.byteLength(line.slice(0, index)) + 1;
  return new InputError(`parse error on line 1, column ${column}: ${problem}`);
}
