/**
 * What arguments and flags are made of, told by the names that they have in the commands' own usage lines: nothing about a
 * command is written down a second time.
 */
import { formats } from "../output/formats.js";

/** What only the cluster knows. */
export type Source = "keys" | "leases" | "members" | "roles" | "users";

export type Kind =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "cluster"; readonly source: Source }
  | { readonly kind: "files" }
  | { readonly kind: "directories" }
  /** Something new or free: there is nothing to offer. */
  | { readonly kind: "nothing" };

const nothing: Kind = { kind: "nothing" };
const files: Kind = { kind: "files" };
const directories: Kind = { kind: "directories" };
export const shells = ["bash", "zsh", "fish", "powershell"] as const;

function words(...list: readonly string[]): Kind {
  return { kind: "words", words: list };
}

function cluster(source: Source): Kind {
  return { kind: "cluster", source };
}

/** By the name between the brackets of a usage line. */
const argumentKinds: Readonly<Record<string, Kind>> = {
  endkey: cluster("keys"),
  "exec-command arg1 arg2 ...": files,
  filename: files,
  key: cluster("keys"),
  leaseID: cluster("leases"),
  memberID: cluster("members"),
  "permission type": words("read", "readwrite", "write"),
  range_end: cluster("keys"),
  "role name": cluster("roles"),
  shell: words(...shells),
  "transferee-member-id": cluster("members"),
  "user name": cluster("users"),
};

/** Commands whose argument is the name of something that is to be made. */
const makers: readonly string[] = ["role add", "user add"];

/** Of the argument at `index` (from 0) of the command at `path`, by the command's usage line. */
export function argumentKind(path: readonly string[], usage: string, index: number): Kind {
  if (makers.includes(path.join(" "))) return nothing;
  const name = argumentNames(usage)[index];
  return name === undefined ? nothing : (argumentKinds[name] ?? nothing);
}

/** The names in brackets, without those that stand for flags: `get [options] <key> [range_end]` has two. */
export function argumentNames(usage: string): readonly string[] {
  const [line = ""] = usage.split("\n");
  const withoutFlags = line.replaceAll(/--[\w-]+[ =]<[^>]*>/gu, "");
  return Array.from(withoutFlags.matchAll(/[<[]([^<>[\]]+)[>\]]/gu), ([, name = ""]) => name).filter((name) => {
    return name !== "options" && !name.startsWith("-");
  });
}

const valueKinds: Readonly<Record<string, Kind>> = {
  consistency: words("l", "s"),
  "data-dir": directories,
  lease: cluster("leases"),
  load: words("s", "m", "l", "xl"),
  order: words("ASCEND", "DESCEND"),
  "output-dir": directories,
  "sort-by": words("CREATE", "KEY", "MODIFY", "VALUE", "VERSION"),
  "wal-dir": directories,
  "write-out": words(...formats),
};

/** Of a flag's value. Certificates and keys are files, whatever stands before their names. */
export function valueKind(flag: string, isBoolean: boolean): Kind {
  if (isBoolean) return words("true", "false");
  if (/(?:^|-)(?:cert|key|cacert)$/u.test(flag)) return files;
  return valueKinds[flag] ?? nothing;
}
