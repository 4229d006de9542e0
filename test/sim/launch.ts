/** Builds the simulator, with a mutation if one is asked for, and runs it in this process. */
import { pathToFileURL } from "node:url";
import { buildSimulator } from "./build.js";
import { readOptions } from "./options.js";

const { mutate } = readOptions(process.argv.slice(2));
const bundle = await buildSimulator(mutate);
await import(pathToFileURL(bundle).href);
