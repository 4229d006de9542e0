/** The line that tells how long work goes: for terminals alone, and gone when the work is done. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { humanSeconds, ProgressLine } from "../../../src/cli/output/progress-line.js";

const { isTTY, columns } = process.stderr;
let written = "";

beforeEach(() => {
  written = "";
  vi.useFakeTimers();
  vi.spyOn(process.stderr, "write").mockImplementation((data) => {
    written += String(data);
    return true;
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  Object.assign(process.stderr, { isTTY, columns });
});

function during(seconds: number): Promise<void> {
  let count = 0;
  return ProgressLine.during(
    () => `step ${++count} \u001b[31m`,
    async () => {
      await vi.advanceTimersByTimeAsync(seconds * 1_000);
    },
  );
}

describe("progress", () => {
  it("is drawn once a second on a terminal, harmlessly, and wiped at the end", async () => {
    Object.assign(process.stderr, { isTTY: true, columns: 0 });
    await during(2);
    expect(written).toBe("\r\u001b[Kstep 1 \\x1b[31m\r\u001b[Kstep 2 \\x1b[31m\r\u001b[K");
  });

  it("is cut to the width of the terminal", async () => {
    Object.assign(process.stderr, { isTTY: true, columns: 5 });
    await during(1);
    expect(written).toBe("\r\u001b[Kstep\r\u001b[K");
  });

  it("writes nothing into a pipe", async () => {
    Object.assign(process.stderr, { isTTY: false });
    await during(2);
    expect(written).toBe("");
  });

  it("tells time for people", () => {
    expect([humanSeconds(-1), humanSeconds(59.4), humanSeconds(185)]).toEqual(["0 s", "59 s", "3 min 5 s"]);
  });
});
