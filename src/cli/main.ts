/** The `litectl` process. */
import { endWithReader, writeOut } from "./terminal.js";
import { versionText } from "./version.js";

endWithReader();
const argv = process.argv.slice(2);
// Scripts ask for the version often, and it needs nothing of the rest.
if (argv.length === 1 && argv[0] === "version") {
  await writeOut(versionText());
} else {
  const { exitCodeOf } = await import("./program.js");
  process.exit(await exitCodeOf(argv));
}
