/** Runs a command line in this process and catches what it writes. */
import { vi } from "vitest";
import { exitCodeOf } from "../../src/cli/program.js";

export interface Captured {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Catches what `work` writes to the standard streams. */
export async function listening<T>(work: () => Promise<T>): Promise<{ result: T; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((data, encodingOrDone, done) => {
      written[name] += typeof data === "string" ? data : Buffer.from(data).toString();
      const callback = typeof encodingOrDone === "function" ? encodingOrDone : done;
      callback?.();
      return true;
    }),
  );
  try {
    return { result: await work(), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** The environment is scrubbed of ETCDCTL_* variables except for `env`. */
export async function litectl(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Captured> {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("ETCDCTL_")) delete process.env[name];
  Object.assign(process.env, env);
  try {
    const { result: exitCode, ...written } = await listening(() => exitCodeOf(argv));
    return { exitCode, ...written };
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  }
}
