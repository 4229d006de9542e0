/** One member of a development cluster: a process of this same program that ends when its parent ends, however that ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { DevRefused } from "./layout.js";

/** What to run, in front of the flags. */
export interface DevProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface DevChild {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves when the member serves. Rejects with DevRefused if it ends before that. */
  readonly ready: Promise<void>;
  /** Resolves when the process is gone: how it ended, in words. */
  readonly gone: Promise<string>;
  signal(signal: "SIGTERM" | "SIGKILL"): void;
}

export interface DevChildOptions {
  readonly name: string;
  readonly program: DevProgram;
  readonly flags: readonly string[];
  /** Takes what the member says, a line at a time. */
  readonly onLine: (line: string) => void;
}

export function startChild({ name, program, flags, onLine }: DevChildOptions): DevChild {
  const child = spawn(program.command, [...program.args, ...flags], {
    env: program.env,
    // The channel tells the member that its parent is gone, and the parent that the member serves.
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    // A Ctrl-C at the terminal is for the parent, which ends the members in order.
    detached: true,
  });
  forwardLines(child, onLine);
  const gone = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const ready = new Promise<void>((resolve, reject) => {
    child.on("message", (message) => {
      if (message === "ready") resolve();
    });
    void gone.then((how) => reject(new DevRefused(`${name} did not start: ${how}`)));
  });
  return { name, pid: child.pid, ready, gone, signal: (signal) => void child.kill(signal) };
}

function forwardLines(child: ChildProcess, onLine: (line: string) => void): void {
  let rest = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
