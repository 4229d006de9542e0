/** Runs a program on a pseudo-terminal, types on it, and looks at what is left of the terminal. Python has what Node lacks. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Text to wait for in the output, and what to type then. */
export type Typing = readonly [shown: string, typed: string];

export interface TerminalRun {
  /** As a shell sees it; 128 and the signal if one killed the program. */
  readonly exitCode: number;
  /** Everything that reached the terminal, echo included; line ends as the program wrote them. */
  readonly output: string;
  /** Whether the terminal echoes and reads by lines again. */
  readonly isSane: boolean;
}

const script = `
import json, os, pty, select, sys, termios, time
plan = json.load(sys.stdin)
master, slave = pty.openpty()
pid = os.fork()
if pid == 0:
    os.setsid(); os.close(master)
    import fcntl; fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2): os.dup2(slave, fd)
    os.execvpe(plan["argv"][0], plan["argv"], plan["env"])
output, seen, typings, end, status = b"", 0, plan["typings"], time.time() + 60, None
while time.time() < end:
    if select.select([master], [], [], 0.02)[0]:
        output += os.read(master, 65536)
    elif status is not None: break
    if typings and typings[0][0].encode() in output[seen:]:
        seen = len(output); os.write(master, typings.pop(0)[1].encode())
    if status is None:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done: status = code
if status is None: os.kill(pid, 9); _, status = os.waitpid(pid, 0)
local = termios.tcgetattr(slave)[3]
code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
print(json.dumps({"exitCode": code, "isSane": bool(local & termios.ECHO and local & termios.ICANON and local & termios.ISIG),
  "output": output.replace(b"\\r\\n", b"\\n").decode("latin-1")}))
`;

/** Ends with the program, or after a minute. */
export async function onTerminal(
  argv: readonly string[],
  { env = {}, typings = [] }: { env?: Readonly<Record<string, string>>; typings?: readonly Typing[] } = {},
): Promise<TerminalRun> {
  const running = run("python3", ["-c", script], { timeout: 90_000 });
  const all = { PATH: process.env["PATH"], TERM: "xterm", LANG: "C.UTF-8", ...env };
  running.child.stdin?.end(JSON.stringify({ argv, env: all, typings }));
  return JSON.parse((await running).stdout) as TerminalRun;
}
