/** Values for people: sizes in SI units, ids in hex, bytes as \xNN (spec/cli.md 7.5, 7.8, 7.9). */

const sizeUnits = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** Bytes in units of 1000, with one decimal below ten: "20 kB", "2.1 MB". */
export function humanSize(bytes: bigint): string {
  if (bytes < 10n) return `${bytes} B`;
  const size = Number(bytes);
  const power = Math.min(Math.floor(Math.log(size) / Math.log(1000)), sizeUnits.length - 1);
  const value = Math.floor((size / 1000 ** power) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : halfToEven(value)} ${sizeUnits[power]}`;
}

/** A half goes to the even neighbour, as in Go's %.0f. */
function halfToEven(value: number): string {
  const floor = Math.floor(value);
  const isHalf = value - floor === 0.5;
  return String(isHalf ? floor + (floor % 2) : Math.round(value));
}

/** How much of a database defragmentation would give back; integer division as etcdctl does it. */
export function percentNotInUse(sizeBytes: bigint, inUseBytes: bigint): string {
  return `${sizeBytes === 0n ? 0n : 100n - (inUseBytes * 100n) / sizeBytes}%`;
}

/** Member and cluster ids: hex without padding. */
export function hexId(id: bigint): string {
  return BigInt.asUintN(64, id).toString(16);
}

/** What became of a member; the ids stand in columns of 16. */
export function memberLine(member: bigint, change: string, cluster: bigint): string {
  return `Member ${hexId(member).padStart(16)} ${change} cluster ${hexId(cluster).padStart(16)}`;
}

/** Lease ids: 16 hex digits. */
export function leaseId(id: bigint): string {
  return hexId(id).padStart(16, "0");
}

/** Every byte as \xNN. */
export function hexBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("hex")
    .replace(/../g, (digits) => `\\x${digits}`);
}
