/** The keys of Go's concurrency package: whatever belongs to a name lies under it and a slash. */
import { type Bytes, type Key, type KeyRange, utf8 } from "../index.js";
import type { Name } from "./types.js";

/** `name/part` */
export function keyUnder(name: Name, part: string): Key {
  if (typeof name === "string") return `${name}/${part}`;
  const tail = utf8.encode(`/${part}`);
  const key = new Uint8Array(name.length + tail.length);
  key.set(name);
  key.set(tail, name.length);
  return key;
}

/** Everything that belongs to a name. */
export function allUnder(name: Name): KeyRange {
  return { prefix: keyUnder(name, "") };
}

export function bytesOf(key: Key): Bytes {
  return typeof key === "string" ? utf8.encode(key) : key;
}

export function textOf(key: Key): string {
  return typeof key === "string" ? key : utf8.decode(key);
}

/** Equal for equal bytes only, as a key of maps. */
export function identityOf(key: Key): string {
  return bytesOf(key).join();
}
