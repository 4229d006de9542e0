/** All manual pages of the package, by their file names in man/. */
import { litecdPage } from "./litecd.js";
import { litectlPages } from "./litectl.js";

export async function manPages(): Promise<ReadonlyMap<string, string>> {
  return new Map([["litecd.8", litecdPage()], ...(await litectlPages())]);
}
