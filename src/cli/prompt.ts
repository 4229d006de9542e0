/** Prompts: passwords without echo, and a question before something big is deleted (spec/cli.md 4.4, 8.18, 13). */
import { badArguments } from "./exit-code.js";
import { byteText } from "./input/byte-text.js";
import { standardInput, writeOut } from "./terminal.js";

const keys = { interrupt: 0x03, endOfInput: 0x04, backspace: 0x08, lineFeed: 0x0a, carriageReturn: 0x0d, erase: 0x7f };

/** Asks on stdout. On a terminal nothing is echoed; from a pipe one line is the answer. Throws Failure (128). */
export async function askPassword(question: string): Promise<string> {
  const answer = process.stdin.isTTY ? hiddenLine(question) : pipedLine(question);
  const password = await answer;
  await writeOut("\n");
  return byteText(password);
}

async function pipedLine(question: string): Promise<Buffer> {
  await writeOut(question);
  const line = (await standardInput.line()) ?? (await standardInput.rest());
  return line.at(-1) === keys.carriageReturn ? line.subarray(0, -1) : line;
}

/** Echo goes off before the question is shown, so that nothing typed early becomes visible. */
async function hiddenLine(question: string): Promise<Buffer> {
  process.stdin.setRawMode(true);
  try {
    await writeOut(question);
    return await typedLine();
  } finally {
    process.stdin.setRawMode(false);
    process.stdin.pause();
  }
}

function typedLine(): Promise<Buffer> {
  const typed: number[] = [];
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      process.stdin.off("data", read);
      act();
    };
    const read = (chunk: Buffer): void => {
      for (const byte of chunk) {
        if (byte === keys.lineFeed || byte === keys.carriageReturn) return settle(() => resolve(Buffer.from(typed)));
        if (byte === keys.interrupt) return settle(interrupt);
        if (byte === keys.endOfInput) return settle(() => reject(badArguments("failed to ask password: EOF")));
        if (byte === keys.backspace || byte === keys.erase) typed.pop();
        else typed.push(byte);
      }
    };
    process.stdin.on("data", read);
    process.stdin.resume(); // an earlier prompt left it paused
  });
}

/** In raw mode the terminal sends no signal for Ctrl-C; the process ends as if it had. */
function interrupt(): void {
  process.stdin.setRawMode(false);
  for (const listener of process.listeners("SIGINT")) process.off("SIGINT", listener);
  process.kill(process.pid, "SIGINT");
}

/** Asks yes or no on a terminal, on stderr; the default is no. */
export async function confirm(question: string): Promise<boolean> {
  const { default: inquirer } = await import("inquirer");
  const ask = inquirer.createPromptModule({ output: process.stderr });
  try {
    const { answer } = await ask<{ answer: boolean }>([
      { type: "confirm", name: "answer", message: question, default: false },
    ]);
    return answer;
  } catch (error) {
    if (error instanceof Error && error.name === "ExitPromptError") interrupt();
    throw error;
  }
}
