/** The recipe needs no settings of its own; this keeps it apart from the tests of litecd itself. */
import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["*.test.ts"] } });
