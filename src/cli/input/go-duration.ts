/** Go's durations in both directions: "1m30s" to nanoseconds and back (spec/cli.md 1.1, 7.9). */
import { goQuote } from "../output/go-quote.js";
import { InputError } from "./go-number.js";

const units: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["µs", 1_000n], // U+00B5
  ["μs", 1_000n], // U+03BC
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
]);
const durationMax = 2n ** 63n - 1n;

/** Nanoseconds. Throws InputError with Go's words. */
export function parseDuration(text: string): bigint {
  const [, sign = "", body = ""] = /^([+-]?)(.*)$/su.exec(text) ?? [];
  if (body === "0") return 0n;
  if (body === "") throw invalid(text);
  let total = 0n;
  let rest = body;
  while (rest !== "") {
    const term = /^(\d*)(?:\.(\d*))?([^\d.]*)(.*)$/su.exec(rest);
    const [, whole = "", fraction = "", unitName = "", tail = ""] = term ?? [];
    if (whole === "" && fraction === "") throw invalid(text);
    if (unitName === "") throw new InputError(`time: missing unit in duration ${goQuote(text)}`);
    const unit = units.get(unitName);
    if (unit === undefined)
      throw new InputError(`time: unknown unit ${goQuote(unitName)} in duration ${goQuote(text)}`);
    total += BigInt(whole === "" ? 0 : whole) * unit + (BigInt(`0${fraction}`) * unit) / 10n ** BigInt(fraction.length);
    rest = tail;
  }
  if (total > (sign === "-" ? durationMax + 1n : durationMax)) throw invalid(text);
  return sign === "-" ? -total : total;
}

function invalid(text: string): InputError {
  return new InputError(`time: invalid duration ${goQuote(text)}`);
}

/** Nanoseconds as Go prints a time.Duration: "903.1µs", "1m30s", "0s". */
export function formatDuration(nanoseconds: bigint): string {
  if (nanoseconds === 0n) return "0s";
  const sign = nanoseconds < 0n ? "-" : "";
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  if (size < 1_000n) return `${sign}${size}ns`;
  if (size < 1_000_000n) return `${sign}${decimal(size, 1_000n)}µs`;
  if (size < 1_000_000_000n) return `${sign}${decimal(size, 1_000_000n)}ms`;
  const minutes = size / 60_000_000_000n;
  const seconds = `${decimal(size % 60_000_000_000n, 1_000_000_000n)}s`;
  if (minutes === 0n) return sign + seconds;
  const hours = minutes / 60n;
  return hours === 0n ? `${sign}${minutes}m${seconds}` : `${sign}${hours}h${minutes % 60n}m${seconds}`;
}

/** `value / unit` with as many decimals as there are; `unit` is a power of ten. */
function decimal(value: bigint, unit: bigint): string {
  const places = unit.toString().length - 1;
  const fraction = (value % unit).toString().padStart(places, "0").replace(/0+$/, "");
  return fraction === "" ? `${value / unit}` : `${value / unit}.${fraction}`;
}
