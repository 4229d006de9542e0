/** Log lines in etcd's form: JSON with level, ts, caller and msg, one a line. */

export type LogLevel = "debug" | "info" | "warn" | "error" | "panic" | "fatal";
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines name another room as caller. */
  in(room: string): Logger;
}

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error", "panic", "fatal"];

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: "json" | "console";
  /** Receives whole lines, newline included. */
  readonly write: (line: string) => void;
  readonly now: () => Date;
}

export function createLogger(options: LoggerOptions, caller = "server"): Logger {
  const lowest = levels.indexOf(options.level);
  const emit = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    if (levels.indexOf(level) < lowest) return;
    const head = { level, ts: options.now().toISOString(), caller, msg: message };
    options.write(options.format === "json" ? `${toJson({ ...head, ...fields })}\n` : consoleLine(head, fields));
  };
  return {
    debug: (message, fields) => emit("debug", message, fields),
    info: (message, fields) => emit("info", message, fields),
    warn: (message, fields) => emit("warn", message, fields),
    error: (message, fields) => emit("error", message, fields),
    in: (room) => createLogger(options, room),
  };
}

/** A logger that says nothing; for tests and for servers inside an application. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  in: () => silentLogger,
};

function consoleLine(head: { level: string; ts: string; caller: string; msg: string }, fields: LogFields): string {
  const tail = Object.keys(fields).length > 0 ? `\t${toJson(fields)}` : "";
  return `${head.ts}\t${head.level}\t${head.caller}\t${head.msg}${tail}\n`;
}

/** JSON with bigint as hex (ids are what they hold) and errors as their message. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === "bigint") return part.toString(16);
    if (part instanceof Error) return part.message;
    return part;
  });
}
