/** The `litectl` process. */
import { endWithReader, writeOut } from "./terminal.js";
import { versionText } from "./version.js";

endWithReader();
process.noDeprecation = true; // remarks on Node's own interfaces are nothing for the users of a tool
const argv = process.argv.slice(2);
// Scripts ask for the version often, and it needs nothing of the rest.
if (argv.length === 1 && argv[0] === "version") {
  await writeOut(versionText());
} else {
  // The command decides when the process ends, also while nothing but a back-off or a dead endpoint is being waited for.
  setInterval(() => {}, 2 ** 31 - 1);
  const { exitCodeOf } = await import("./program.js");
  process.exit(await exitCodeOf(argv));
}
