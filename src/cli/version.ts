/** What `version` says: the level of etcdctl that this is a drop-in for, and our own version as build metadata. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The etcdctl whose command line, outputs and exit codes these are. */
const etcdctlLevel = "3.7.0";

/** `program` is the tool of etcd that is asked for its version. */
export function versionText(program: "etcdctl" | "etcdutl" = "etcdctl"): string {
  const apiVersion = etcdctlLevel.split(".").slice(0, 2).join(".");
  return `${program} version: ${etcdctlLevel}+litectl.${packageVersion()}\nAPI version: ${apiVersion}\n`;
}

/** From the nearest package.json above this file; bundling moves the file, not the package. */
function packageVersion(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, "package.json")) && folder !== dirname(folder)) folder = dirname(folder);
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
  return version;
}
