/** Loads the SQLite driver on first use, so that nobody who only wants the client has to have it. */
import { createRequire } from "node:module";
import type BetterSqlite3 from "better-sqlite3";
import { StorageRefused } from "./failure.js";

type Driver = typeof BetterSqlite3;

const load = createRequire(import.meta.url);
const advice =
  "The litecd server stores its data with better-sqlite3, an optional dependency. " +
  "Install it with `npm install better-sqlite3` (on npm 12 or later: `npm install --allow-scripts=better-sqlite3`), " +
  "on Node 20 in version 12.";

/** First Node-API version that better-sqlite3 13 needs; loading it on an older one ends the process with SIGSEGV. */
const napiVersionMin = 10;
const napiDriverMajor = 13;

let driver: Driver | undefined;

/** Whether a connection may change what it opens. A reader needs a file that is there. */
export type Access = "readWrite" | "readOnly";

/** Opens a database file; throws {@link StorageRefused} `missingDriver` if the driver can not be loaded. */
export function openSqlite(path: string, access: Access = "readWrite"): BetterSqlite3.Database {
  driver ??= loadDriver();
  try {
    return new driver(path, { readonly: access === "readOnly", fileMustExist: access === "readOnly" });
  } catch (error) {
    // The native part is loaded by the first constructor call, not by the import.
    if (isLoadError(error)) throw missingDriver(error);
    throw error;
  }
}

function loadDriver(): Driver {
  try {
    const { version } = load("better-sqlite3/package.json") as { version: string };
    assertLoadable(version, Number(process.versions["napi"]));
    return load("better-sqlite3") as Driver;
  } catch (error) {
    if (error instanceof StorageRefused) throw error;
    throw missingDriver(error);
  }
}

/** Refuses a driver that would crash this Node. `driverVersion` is the x.y.z of better-sqlite3. */
export function assertLoadable(driverVersion: string, napiVersion: number): void {
  const major = Number(driverVersion.split(".")[0]);
  if (major < napiDriverMajor || napiVersion >= napiVersionMin) return;
  throw new StorageRefused(
    "missingDriver",
    `better-sqlite3 ${driverVersion} needs Node-API ${napiVersionMin}, this Node has ${napiVersion}. ${advice}`,
  );
}

function missingDriver(cause: unknown): StorageRefused {
  const reason = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
  return new StorageRefused("missingDriver", `${advice} (${reason})`, { cause });
}

function isLoadError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  return (
    code === "ERR_DLOPEN_FAILED" ||
    code === "MODULE_NOT_FOUND" ||
    error.message.startsWith("Could not locate the bindings")
  );
}
