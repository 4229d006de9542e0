/** The `litecd` program: says what it was asked, or starts a member and ends it when told to. */

import { openSync, readFileSync, writeSync } from "node:fs";
import type { LogConfig, LogOutput, ServerConfig } from "./config/config.js";
import { parseConfig } from "./config/parse-config.js";
import { InvariantError } from "./invariant.js";
import { createLogger, type Logger } from "./runtime/logger.js";
import { litecdVersion } from "./runtime/version.js";

/** What the program needs of its process. */
export interface World {
  /** Node and the program's file come first. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  exitCode?: number | string | null | undefined;
  exit(code: number): void;
  on(
    event: "SIGTERM" | "SIGINT" | "uncaughtException" | "unhandledRejection",
    listener: (reason: unknown) => void,
  ): void;
}

interface Output {
  write(text: string): unknown;
}

/** The part of the server that the program uses. */
export interface Program {
  startServer(options: {
    readonly config: ServerConfig;
    readonly logger: Logger;
    readonly onFatal: (error: unknown) => void;
  }): Promise<{ close(): Promise<void> }>;
}

/** A member that cannot trust its memory or disk any more. Source: design.md 3.1. */
const exitFatal = 70;
const exitFailed = 1;

/** The server is loaded once there is a config, so that help, version and errors come at once. */
const loadServer = (): Promise<Program> => import("./index.js");

/** Runs the program. Resolves when there is nothing left to do: after a text or an error, or when the member has ended. */
export async function main(world: World, load: () => Promise<Program> = loadServer): Promise<void> {
  const parsed = parseConfig({
    argv: world.argv.slice(2),
    env: world.env,
    readFile: (path) => readFileSync(path, "utf8"),
  });
  switch (parsed.kind) {
    case "help":
    case "version":
      world.stdout.write(parsed.text);
      return;
    case "error":
      refuse(world, parsed.message, parsed.exitCode);
      return;
    case "config": {
      const logger = openLogger(world, parsed.config.log);
      if (logger === undefined) return;
      for (const { message, fields } of parsed.warnings) logger.warn(message, fields);
      await runMember(world, { config: parsed.config, logger, load });
    }
  }
}

/** One line. A command line that cannot be read is answered in plain words, everything else as a log line, as in etcd. */
function refuse(world: World, message: string, exitCode: 1 | 2): void {
  world.exitCode = exitCode;
  if (exitCode === 2) world.stderr.write(`litecd: ${message}\n`);
  else defaultLogger(world).error("failed to verify flags", { error: message });
}

function defaultLogger(world: World): Logger {
  const write = (line: string): unknown => world.stderr.write(line);
  return createLogger({ level: "info", format: "json", write, now: () => new Date() }, "main");
}

function openLogger(world: World, { level, format, outputs }: LogConfig): Logger | undefined {
  try {
    const writers = outputs.map((output) => writerOf(world, output));
    const write = (line: string): void => writers.forEach((writer) => writer(line));
    return createLogger({ level, format, write, now: () => new Date() }, "main");
  } catch (error) {
    defaultLogger(world).error("failed to open a log output", { error });
    world.exitCode = exitFailed;
    return undefined;
  }
}

function writerOf(world: World, output: LogOutput): (line: string) => void {
  switch (output.kind) {
    case "stderr":
      return (line) => void world.stderr.write(line);
    case "stdout":
      return (line) => void world.stdout.write(line);
    case "file": {
      const file = openSync(output.path, "a");
      // At once, so that the last line is there even if the process is not.
      return (line) => void writeSync(file, line);
    }
  }
}

interface Start {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly load: () => Promise<Program>;
}

async function runMember(world: World, { config, logger, load }: Start): Promise<void> {
  const onFatal = (error: unknown): void => {
    const evidence = error instanceof InvariantError ? error.details : {};
    logger.error("the member cannot go on and ends at once", { ...evidence, error: explain(error) });
    world.exit(exitFatal);
  };
  // What nobody caught is a bug, and after a bug nothing in memory can be trusted.
  world.on("uncaughtException", onFatal);
  world.on("unhandledRejection", onFatal);
  const told = untilTold(world, logger);
  logger.info("starting litecd", { version: litecdVersion, name: config.name, "data-dir": config.dataDir });
  try {
    const program = await load();
    const server = await program.startServer({ config, logger, onFatal });
    await told;
    await server.close();
  } catch (error) {
    logger.error("the member ends with an error", { error: explain(error) });
    world.exit(exitCodeOf(error));
    return;
  }
  logger.info("the member has ended");
  world.exit(0);
}

/** Resolves at the first signal. The second ends the process at once. */
function untilTold(world: World, logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const signalled = (signal: "SIGTERM" | "SIGINT", number: number): void => {
      signals += 1;
      logger.info("received a signal", { signal });
      if (signals === 1) resolve();
      else world.exit(128 + number);
    };
    world.on("SIGTERM", () => signalled("SIGTERM", 15));
    world.on("SIGINT", () => signalled("SIGINT", 2));
  });
}

/** Storage failures and broken invariants say by their name or code that this is no ordinary failure. */
function exitCodeOf(error: unknown): number {
  const { exitCode } = error as { exitCode?: unknown };
  if (typeof exitCode === "number") return exitCode;
  return error instanceof InvariantError ? exitFatal : exitFailed;
}

/** The message first; the stack only where it helps: errors that come with a code or a plain reason have none to show. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const expected = "reason" in error || "code" in error;
  return expected ? error.message : (error.stack ?? error.message);
}
