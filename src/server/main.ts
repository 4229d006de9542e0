/** The `litecd` program: says what it was asked, or starts a member and ends it when told to. */

import { openSync, readFileSync, writeSync } from "node:fs";
import type { LogConfig, LogOutput, ServerConfig } from "./config/config.js";
import { type DevConfig, memberEnvironment } from "./config/dev.js";
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
  on(event: WorldEvent, listener: (reason: unknown) => void): void;
  /** Speaks to the process that started this one, if that opened a channel. */
  send?(message: string): unknown;
}

type WorldEvent = "SIGTERM" | "SIGINT" | "disconnect" | "uncaughtException" | "unhandledRejection";

interface Output {
  write(text: string): unknown;
}

/** The part of the server that the program uses. */
export interface Program {
  startServer(options: {
    readonly config: ServerConfig;
    readonly logger: Logger;
    readonly onFatal: (error: unknown) => void;
    readonly signal: AbortSignal;
  }): Promise<StartedServer>;
}

interface StartedServer {
  /** Resolves when the cluster has removed this member. */
  readonly removed: Promise<void>;
  close(): Promise<void>;
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
    case "dev":
      await develop(world, parsed.dev);
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
  const signal = untilTold(world, ({ name }) => logger.info("received a signal", { signal: name }));
  logger.info("starting litecd", { version: litecdVersion, name: config.name, "data-dir": config.dataDir });
  try {
    const program = await load();
    const server = await program.startServer({ config, logger, onFatal, signal });
    world.send?.("ready");
    const why = await Promise.race([aborted(signal), server.removed.then(() => "removed" as const)]);
    if (why === "removed") warnOfRemoval(logger, config);
    await server.close();
  } catch (error) {
    // A start that was called off is no failure.
    if (!signal.aborted || error !== signal.reason) {
      if (isRemoval(error)) warnOfRemoval(logger, config);
      else logger.error("the member ends with an error", { error: explain(error) });
      world.exit(exitCodeOf(error));
      return;
    }
  }
  logger.info("the member has ended");
  world.exit(0);
}

/** Members of a development cluster: see dev/run.ts. */
async function develop(world: World, config: DevConfig): Promise<void> {
  const { runDev } = await import("./dev/run.js");
  const [command = "", ...args] = world.argv.slice(0, 2);
  const signal = untilTold(world, () => undefined);
  try {
    await runDev({
      config,
      program: { command, args, env: memberEnvironment(world.env) },
      say: (text) => void world.stdout.write(text),
      report: (line) => void world.stderr.write(`${line}\n`),
      told: aborted(signal).then(() => undefined),
    });
    world.exit(signal.aborted ? 0 : exitFailed);
  } catch (error) {
    world.stderr.write(`litecd: ${explain(error)}\n`);
    world.exit(exitFailed);
  }
}

interface Signal {
  readonly name: "SIGTERM" | "SIGINT";
  readonly number: number;
}

const signals: readonly Signal[] = [
  { name: "SIGTERM", number: 15 },
  { name: "SIGINT", number: 2 },
];

/**
 * Aborts at the first signal, or when the process that holds the other end of a channel to this one is gone: a member of a
 * development cluster does not outlive it. The second signal ends the process at once.
 */
function untilTold(world: World, onSignal: (signal: Signal) => void): AbortSignal {
  const told = new AbortController();
  for (const signal of signals) {
    world.on(signal.name, () => {
      onSignal(signal);
      if (told.signal.aborted) world.exit(128 + signal.number);
      else told.abort();
    });
  }
  world.on("disconnect", () => told.abort());
  return told.signal;
}

function aborted(signal: AbortSignal): Promise<"told"> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve("told");
    else signal.addEventListener("abort", () => resolve("told"), { once: true });
  });
}

/** With etcd's words, because people look for them. */
function warnOfRemoval(logger: Logger, { dataDir }: ServerConfig): void {
  logger.warn("server error", { error: "the member has been permanently removed from the cluster" });
  logger.warn("data-dir used by this member must be removed", { "data-dir": dataDir });
}

function isRemoval(error: unknown): boolean {
  return (error as { reason?: unknown }).reason === "memberRemoved";
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
