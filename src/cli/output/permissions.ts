/** How `role get` words permissions (spec/cli.md 8.19). */
import type { Permission } from "../../../proto/gen/etcd/auth.js";
import { byteText } from "../input/byte-text.js";
import { prefixEnd } from "../input/key-range.js";

const read = 0;
const write = 1;

/** The whole text of `role get`; keys are shown as they are. */
export function roleText(role: string, permissions: readonly Permission[]): string {
  const readable = permissions.filter(({ permType }) => permType !== write);
  const writable = permissions.filter(({ permType }) => permType !== read);
  return [`Role ${role}\nKV Read:\n`, ...entries(readable), "KV Write:\n", ...entries(writable)].join("");
}

function entries(permissions: readonly Permission[]): string[] {
  return permissions.map((permission) => `\t${permissionText(permission)}\n`);
}

function permissionText({ key, rangeEnd }: Permission): string {
  const from = byteText(key);
  if (rangeEnd.length === 0) return from;
  const interval = isOpenEnd(rangeEnd) ? `[${from}, <open ended>` : `[${from}, ${byteText(rangeEnd)})`;
  const isPrefix = key.length > 0 && Buffer.compare(prefixEnd(key), rangeEnd) === 0;
  return isPrefix ? `${interval} (prefix ${from})` : interval;
}

/** What `role revoke-permission` says it took back. */
export function revokedText(role: string, key: string, rangeEnd: Uint8Array): string {
  if (rangeEnd.length === 0) return `Permission of key ${key} is revoked from role ${role}`;
  const end = isOpenEnd(rangeEnd) ? "<open ended>" : `${byteText(rangeEnd)})`;
  return `Permission of range [${key}, ${end} is revoked from role ${role}`;
}

/** A single zero byte stands for "no upper end". */
function isOpenEnd(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}
