/** A status message as gRPC's headers hold it: bytes outside of printable ASCII, and `%`, as %XX of their UTF-8. */

export function percentEncode(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return text;
  return Array.from(Buffer.from(text), (byte) => {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    return plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

export function percentDecode(text: string): string {
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
