/** The page of litecd, from the table of its flags. */
import type { Flag } from "../../src/server/config/flag.js";
import { flagSections } from "../../src/server/config/flag-table.js";
import { bold, header, italic, item, paragraphs, plain, section, seeAlso, subsection, verbatim } from "./roff.js";

export function litecdPage(): string {
  const options = Object.entries(flagSections).map(([title, rows]) =>
    subsection(title, Object.entries<Flag<unknown>>(rows).map(flagItem).join("")),
  );
  const general =
    item(bold("--version"), "Print the version and exit.") +
    item(`${bold("--help")}, ${bold("-h")}`, "Print the flags and exit.");
  return [
    header("litecd", 8),
    section("name", "litecd \\- a key\\-value server that speaks etcd\\(aqs API\n"),
    section("synopsis", `${bold("litecd")} [flags]\n`),
    section("description", paragraphs(text)),
    section("options", options.join("") + general),
    section("environment", paragraphs(environment)),
    section(
      "exit status",
      paragraphs(
        "0 after a signal to end and for --help and --version; another number if it could not start or go on, which stderr explains.",
      ),
    ),
    section("examples", verbatim(examples)),
    section("see also", seeAlso([["litectl", 1]])),
  ].join("");
}

const text = `
litecd starts a member of a cluster that keeps keys and their values on a majority of its members: Raft for the order, SQLite for
the storage. Clients of etcd 3.5 and later can use it, and its flags are etcd's.

A flag marked "no effect yet" is taken and has none; one marked "ignored" has none because there is nothing like it here.`;

const environment =
  "Every flag has a variable: ETCD_DATA_DIR for --data-dir, and so on. A flag on the command line wins. With --config-file " +
  "everything is read from that file instead.";

const examples = ["litecd --data-dir /var/lib/litecd", "litecd --dev 3"];

function flagItem([name, flag]: readonly [string, Flag<unknown>]): string {
  const initial = flag.defaultText === "" ? "" : ` Default: ${flag.defaultText}`;
  return item(`${bold(`--${name}`)}${argument(flag)}`, plain(`${flag.meaning}${initial}${effect(flag)}`));
}

function argument({ argument: word, bareText }: Flag<unknown>): string {
  if (word === undefined) return "[=false]";
  return bareText === undefined ? ` ${italic(word)}` : ` [${italic(word)}]`;
}

function effect(flag: Flag<unknown>): string {
  switch (flag.effect) {
    case "now":
      return "";
    case "later":
      return " (no effect yet)";
    case "never":
      return " (ignored)";
  }
}
