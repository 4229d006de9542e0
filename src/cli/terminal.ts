/** The three standard streams: exact bytes to pipes, nothing dangerous to terminals, input by line or whole. */

import { ExitCode } from "./exit-code.js";
import { utf8Characters } from "./input/byte-text.js";
import { jsonObject, jsonString } from "./output/go-json.js";

/** Writes results. On a terminal, control characters are shown as \xNN, for values may hold escape sequences. */
export function writeOut(data: string | Uint8Array): Promise<void> {
  return write(process.stdout, data);
}

/** Writes a line of remarks. */
export function writeError(line: string): Promise<void> {
  return write(process.stderr, `${line}\n`);
}

/** A remark in the form of etcdctl's own log lines, which scripts that read stderr skip. */
export function writeLog(level: "info" | "warn" | "fatal", message: string, facts: Record<string, string> = {}) {
  const members = Object.entries({ level, ts: new Date().toISOString(), msg: message, ...facts });
  return writeError(jsonObject(members.map(([name, value]) => [name, jsonString(value)])));
}

/** Ends the process quietly when the reader of stdout or stderr goes away, as a Go program is ended by SIGPIPE. */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      process.exit(error.code === "EPIPE" ? ExitCode.BrokenPipe : ExitCode.Error);
    });
  }
}

function write(stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  if (data.length === 0) return Promise.resolve();
  const shown = stream.isTTY ? harmless(typeof data === "string" ? Buffer.from(data) : data) : data;
  return new Promise((resolve, reject) => {
    stream.write(shown, (error) => (error ? reject(error) : resolve()));
  });
}

/** Text that moves no cursor and paints no screen: line feeds and tabs stay, other control characters are spelt out. */
export function harmless(bytes: Uint8Array): string {
  let text = "";
  for (const character of utf8Characters(bytes)) {
    const code = typeof character === "number" ? character : (character.codePointAt(0) ?? 0);
    const isPlain = typeof character === "string" && !/\p{Cc}/u.test(character);
    const isLayout = code === 0x0a || code === 0x09;
    text += isPlain || isLayout ? String(character === code ? String.fromCharCode(code) : character) : spelt(code);
  }
  return text;
}

function spelt(code: number): string {
  return `\\x${code.toString(16).padStart(2, "0")}`;
}

/** stdin as the commands read it: some lines, or all that is left. One reader for the whole process. */
class StandardInput {
  private iterator: AsyncIterator<Buffer> | undefined;
  private buffered: Buffer = Buffer.alloc(0);

  /** The next line without its line feed; undefined if the input ends before one. */
  async line(): Promise<Buffer | undefined> {
    for (;;) {
      const end = this.buffered.indexOf(0x0a);
      if (end !== -1) {
        const line = this.buffered.subarray(0, end);
        this.buffered = this.buffered.subarray(end + 1);
        return line;
      }
      if (!(await this.more())) return undefined;
    }
  }

  /** Everything up to the end of the input. */
  async rest(): Promise<Buffer> {
    while (await this.more());
    const rest = this.buffered;
    this.buffered = Buffer.alloc(0);
    return rest;
  }

  private async more(): Promise<boolean> {
    this.iterator ??= process.stdin[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const { value, done } = await this.iterator.next();
    if (done === true) return false;
    this.buffered = this.buffered.length === 0 ? value : Buffer.concat([this.buffered, value]);
    return true;
  }
}

export const standardInput = new StandardInput();
