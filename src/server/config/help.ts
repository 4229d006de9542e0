/** What `litecd --help` and `litecd --version` print. */

import { litecdVersion, serverVersion } from "../runtime/version.js";
import type { Flag } from "./flag.js";
import { flagSections } from "./flag-table.js";

/** The first line is etcd's, because scripts read it. */
export function versionText(): string {
  return [
    `etcd Version: ${serverVersion}`,
    `litecd Version: ${litecdVersion}`,
    `Node Version: ${process.version}`,
    `Node OS/Arch: ${process.platform}/${process.arch}`,
    "",
  ].join("\n");
}

export function helpText(): string {
  const sections = Object.entries(flagSections).map(
    ([title, rows]) => `${title}:\n${Object.entries<Flag<unknown>>(rows).map(describeFlag).join("")}`,
  );
  const general = `  --version\n    Print the version and exit.\n  --help, -h\n    Print this text and exit.\n`;
  return `${usage}\n${sections.join("\n")}${general}`;
}

const usage = `Usage: litecd [flags]

Starts a member that speaks etcd's API, or with --dev 3 a whole cluster for development. Each flag
can also be set in the environment (--data-dir as ETCD_DATA_DIR) or, all of them together, in a file
named by --config-file.
`;

function describeFlag([name, flag]: readonly [string, Flag<unknown>]): string {
  const head = `--${name}${argumentNote(flag)}`;
  const initial = flag.defaultText === "" ? "" : ` Default: ${flag.defaultText}`;
  return `  ${head}\n    ${flag.meaning}${initial}${effectNote(flag)}\n`;
}

function argumentNote({ argument, bareText }: Flag<unknown>): string {
  if (argument === undefined) return "[=false]";
  return bareText === undefined ? ` <${argument}>` : ` [<${argument}>]`;
}

function effectNote(flag: Flag<unknown>): string {
  switch (flag.effect) {
    case "now":
      return "";
    case "later":
      return " (no effect yet)";
    case "never":
      return " (ignored)";
  }
}
