/**
 * The public face of `litecd/cache`: a copy of a range in memory that is kept true by a watch.
 *
 * @module litecd/cache
 */
export { createCache } from "./cache.js";
export type {
  Cache,
  CacheBatch,
  CacheList,
  CacheOptions,
  CacheReadOptions,
  CacheState,
  CacheWatchOptions,
} from "./types.js";
