/**
 * The public face of `litecd/mirror`: copies a range to another place, and keeps the copy true.
 *
 * @module litecd/mirror
 */
export { mirror } from "./mirror.js";
export type { MirrorOptions, MirrorProgress } from "./types.js";
