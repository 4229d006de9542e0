/** Active time: exact between ticks, and deaf to pauses. */
import { expect, it } from "vitest";
import { ActiveClock } from "../../../src/server/replica/active-clock.js";

it("follows the clock between ticks, to the millisecond", () => {
  let nowMs = 1000;
  const active = new ActiveClock({ monotonicMs: () => nowMs }, { tickMs: 100 });
  nowMs = 1030;
  expect(active.nowMs()).toBe(30);
  nowMs = 1100;
  active.tick();
  nowMs = 1199;
  expect(active.nowMs()).toBe(199);
});

it("counts a pause as two ticks at most", () => {
  let nowMs = 0;
  const active = new ActiveClock({ monotonicMs: () => nowMs }, { tickMs: 100 });
  nowMs = 60_000;
  expect(active.nowMs()).toBe(200);
  active.tick();
  expect(active.nowMs()).toBe(200);
  nowMs = 60_050;
  expect(active.nowMs()).toBe(250);
});
