/** Runs the command of `watch -- CMD` and `lock NAME CMD`, and says how it ended in Go's words (spec/cli.md 8.7, 8.15). */
import { spawn } from "node:child_process";
import { systemText } from "./system-text.js";

/** How a command ended. `exitCode` is what a caller that stands for it should exit with. */
export type Ending =
  | { readonly kind: "success" }
  | { readonly kind: "failed"; readonly text: string; readonly exitCode: number }
  | { readonly kind: "notStarted"; readonly text: string };

const signalWords: Partial<Record<NodeJS.Signals, string>> = {
  SIGABRT: "aborted",
  SIGHUP: "hangup",
  SIGINT: "interrupt",
  SIGKILL: "killed",
  SIGPIPE: "broken pipe",
  SIGQUIT: "quit",
  SIGSEGV: "segmentation fault",
  SIGTERM: "terminated",
};

/** stdin is empty, stdout and stderr are ours; `env` is added to the inherited environment. */
export function runCommand(command: readonly string[], env: NodeJS.ProcessEnv): Promise<Ending> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "inherit", "inherit"] });
    child.once("error", (error) => resolve({ kind: "notStarted", text: startFailure(program, error) }));
    child.once("close", (code, signal) => resolve(ending(code, signal)));
  });
}

function ending(code: number | null, signal: NodeJS.Signals | null): Ending {
  if (code === 0) return { kind: "success" };
  if (code !== null) return { kind: "failed", text: `exit status ${code}`, exitCode: code };
  const word = signal === null ? "unknown" : (signalWords[signal] ?? signal);
  return { kind: "failed", text: `signal: ${word}`, exitCode: 255 };
}

/** A name without a slash is looked up in PATH, and Go says so. */
function startFailure(program: string, error: Error): string {
  return program.includes("/")
    ? `fork/exec ${program}: ${systemText(error)}`
    : `exec: "${program}": executable file not found in $PATH`;
}
