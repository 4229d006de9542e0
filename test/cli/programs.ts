/** Which programs of the machine a test can use. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Whether PATH has it: a test of something optional is skipped without it, under a name that says so. */
export function isInstalled(program: string): boolean {
  return (
    process.env["CI"] === "true" ||
    (process.env["PATH"] ?? "").split(delimiter).some((directory) => has(directory, program))
  );
}

function has(directory: string, program: string): boolean {
  try {
    accessSync(join(directory, program), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
