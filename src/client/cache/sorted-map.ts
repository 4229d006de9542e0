/**
 * A map in the order of its keys, in chunks: a lookup is two binary searches, a change moves one chunk's worth of
 * pointers, and a range is walked from where it begins.
 */
import type { ByteKey, Span } from "./key-order.js";

/** A chunk is split when it has so many entries; large enough that the list of chunks stays short. */
const chunkLengthMax = 512;

interface Chunk<T> {
  readonly keys: ByteKey[];
  readonly values: T[];
}

export class SortedMap<T> {
  size = 0;
  /** None is empty, and all keys of one come before all keys of the next. */
  private readonly chunks: Chunk<T>[] = [];

  get(key: ByteKey): T | undefined {
    const chunk = this.chunks[this.chunkAt(key)];
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk.keys, key);
    return chunk.keys[at] === key ? chunk.values[at] : undefined;
  }

  /** Returns what it replaces. */
  set(key: ByteKey, value: T): T | undefined {
    const index = this.chunkAt(key);
    const chunk = this.chunks[index];
    if (chunk === undefined) {
      this.chunks.push({ keys: [key], values: [value] });
      this.size++;
      return undefined;
    }
    const at = lowerBound(chunk.keys, key);
    if (chunk.keys[at] === key) {
      const previous = chunk.values[at];
      chunk.values[at] = value;
      return previous;
    }
    chunk.keys.splice(at, 0, key);
    chunk.values.splice(at, 0, value);
    this.size++;
    if (chunk.keys.length > chunkLengthMax) this.split(index, chunk);
    return undefined;
  }

  /** Returns what was there. */
  delete(key: ByteKey): T | undefined {
    const index = this.chunkAt(key);
    const chunk = this.chunks[index];
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk.keys, key);
    if (chunk.keys[at] !== key) return undefined;
    chunk.keys.splice(at, 1);
    const [value] = chunk.values.splice(at, 1);
    if (chunk.keys.length === 0) this.chunks.splice(index, 1);
    this.size--;
    return value;
  }

  /** The entries of a range, in order. The map must not change meanwhile. */
  *entries({ from, to }: Span): Generator<[ByteKey, T]> {
    for (let index = this.chunkAt(from); index < this.chunks.length; index++) {
      const chunk = this.chunks[index];
      if (chunk === undefined) return;
      for (let at = lowerBound(chunk.keys, from); at < chunk.keys.length; at++) {
        const key = chunk.keys[at] as ByteKey;
        if (to !== undefined && key >= to) return;
        yield [key, chunk.values[at] as T];
      }
    }
  }

  /** The chunk that has the key or would take it; the last one for keys beyond all, 0 if there is none. */
  private chunkAt(key: ByteKey): number {
    let low = 0;
    let high = this.chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const last = this.chunks[middle]?.keys.at(-1) ?? "";
      if (last < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private split(index: number, chunk: Chunk<T>): void {
    // Keys often arrive in order, and then the last chunk is best left full.
    const last = index === this.chunks.length - 1;
    const at = last ? chunk.keys.length - 1 : chunk.keys.length >>> 1;
    this.chunks.splice(index + 1, 0, { keys: chunk.keys.splice(at), values: chunk.values.splice(at) });
  }
}

/** The first place whose key is not below `key`. */
function lowerBound(keys: readonly ByteKey[], key: ByteKey): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as ByteKey) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
