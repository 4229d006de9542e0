/** A missing or broken SQLite driver: said clearly, with what to do about it. */
import { afterEach, describe, expect, it, vi } from "vitest";

afterEach(() => {
  vi.doUnmock("node:module");
  vi.resetModules();
});

/** The loader as it is where `require` of the driver does what `required` says. */
async function loaderWith(
  required: (name: string) => unknown,
): Promise<typeof import("../../../src/server/storage/sqlite.js")> {
  vi.resetModules();
  vi.doMock("node:module", () => ({ createRequire: () => required }));
  return import("../../../src/server/storage/sqlite.js");
}

function failing(message: string, code: string): () => never {
  return () => {
    throw Object.assign(new Error(message), { code });
  };
}

/** Called with `new`, as the driver is: its import works, its first use does not. */
function unbuilt(): void {
  failing("was compiled against a different Node.js version", "ERR_DLOPEN_FAILED")();
}

describe("the driver", () => {
  it("that is not installed: the error says what to install", async () => {
    const { openSqlite } = await loaderWith(failing("Cannot find module 'better-sqlite3'", "MODULE_NOT_FOUND"));
    const expected = { name: "StorageRefused", reason: "missingDriver" };
    expect(() => openSqlite("x.db")).toThrow(expect.objectContaining(expected));
    expect(() => openSqlite("x.db")).toThrow(/npm install better-sqlite3.*Cannot find module/);
  });

  it("whose native part was not built, or for another Node: the same", async () => {
    const { openSqlite } = await loaderWith((name) =>
      name.endsWith("package.json") ? { version: "12.11.1" } : unbuilt,
    );
    expect(() => openSqlite("x.db")).toThrow(/npm install better-sqlite3.*different Node\.js version/);
  });

  it("that would crash this Node is not even loaded", async () => {
    const loaded: string[] = [];
    const { openSqlite } = await loaderWith((name) => {
      loaded.push(name);
      return { version: "99.0.0" };
    });
    vi.stubGlobal("process", { ...process, versions: { ...process.versions, napi: "9" } });
    try {
      expect(() => openSqlite("x.db")).toThrow("better-sqlite3 99.0.0 needs Node-API 10, this Node has 9");
    } finally {
      vi.unstubAllGlobals();
    }
    expect(loaded).toEqual(["better-sqlite3/package.json"]);
  });
});
