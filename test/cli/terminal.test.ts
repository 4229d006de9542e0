/** What reaches a terminal, and how commands that are run end. */
import { describe, expect, it } from "vitest";
import { runCommand } from "../../src/cli/exec.js";
import { openFailure } from "../../src/cli/system-text.js";
import { harmless } from "../../src/cli/terminal.js";

describe("text for a terminal", () => {
  it("keeps letters, line feeds and tabs, and spells out what could steer it", () => {
    expect(harmless(Buffer.from("é日本🎉 \t\n"))).toBe("é日本🎉 \t\n");
    expect(harmless(Buffer.from("\u001b[31mred\u0007\r\u009b0m\u007f"))).toBe("\\x1b[31mred\\x07\\x0d\\x9b0m\\x7f");
    expect(harmless(Uint8Array.of(0x61, 0xff, 0x00))).toBe("a\\xff\\x00");
  });
});

describe("a command that was run", () => {
  it("succeeds, or fails with its code in Go's words", async () => {
    await expect(runCommand([process.execPath, "-e", "0"], process.env)).resolves.toEqual({ kind: "success" });
    await expect(runCommand([process.execPath, "-e", "process.exit(7)"], process.env)).resolves.toEqual({
      kind: "failed",
      text: "exit status 7",
      exitCode: 7,
    });
  });

  it("may be ended by a signal", async () => {
    const suicide = [process.execPath, "-e", "process.kill(process.pid, 'SIGKILL')"];
    await expect(runCommand(suicide, process.env)).resolves.toEqual({
      kind: "failed",
      text: "signal: killed",
      exitCode: 255,
    });
  });

  it("may not exist", async () => {
    await expect(runCommand(["/nonexistent/cmd"], process.env)).resolves.toEqual({
      kind: "notStarted",
      text: "fork/exec /nonexistent/cmd: no such file or directory",
    });
    await expect(runCommand(["nosuch-command-anywhere"], process.env)).resolves.toEqual({
      kind: "notStarted",
      text: 'exec: "nosuch-command-anywhere": executable file not found in $PATH',
    });
  });
});

describe("a file that cannot be opened", () => {
  it("is reported with the system's words, or else with what is known", () => {
    const denied = Object.assign(new Error("EACCES: …"), { code: "EACCES" });
    expect(openFailure("f", denied)).toBe("open f: permission denied");
    expect(openFailure("f", new Error("odd"))).toBe("open f: odd");
  });
});
