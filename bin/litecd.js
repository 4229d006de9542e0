#!/usr/bin/env node
// Code that was compiled once need not be compiled again (Node 22.8 and later; there is no such thing before).
import module from "node:module";

module.enableCompileCache?.();
const { main } = await import("../dist/server/main.js");
await main(process);
