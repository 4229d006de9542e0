/** How far long work has come: one line on stderr that is drawn again every second, for people only. */
import { harmless } from "../terminal.js";

const redrawMs = 1_000;
/** Back to the first column, and nothing right of it. */
const wipe = "\r\u001b[K";

/** Draws nothing unless stderr is a terminal. Its owner disposes of it, which leaves no trace on the screen. */
export class ProgressLine implements Disposable {
  private readonly text: () => string;
  private readonly timer: NodeJS.Timeout | undefined;

  /** `text` says how things stand; it is asked once a second. */
  constructor(text: () => string) {
    this.text = text;
    this.timer = process.stderr.isTTY ? setInterval(() => this.draw(), redrawMs) : undefined;
  }

  /** The line while `work` goes on. */
  static async during<T>(text: () => string, work: () => Promise<T>): Promise<T> {
    const line = new ProgressLine(text);
    try {
      return await work();
    } finally {
      line[Symbol.dispose]();
    }
  }

  /** Wipes the line until it is drawn next, so that something else can be written. */
  clear(): void {
    if (this.timer !== undefined) process.stderr.write(wipe);
  }

  [Symbol.dispose](): void {
    this.clear();
    clearInterval(this.timer);
  }

  private draw(): void {
    const text = harmless(Buffer.from(this.text()));
    // Some terminals do not tell their width, and say 0.
    const width = process.stderr.columns || 80;
    process.stderr.write(wipe + text.slice(0, width - 1));
  }
}

/** "12 s" or "3 min 5 s". */
export function humanSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
