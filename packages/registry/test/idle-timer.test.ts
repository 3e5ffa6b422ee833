import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { createIdleTimer } from "../src/idle-timer.ts";

test("an idle timer aborts when nothing moves, and not while it is stopped", async () => {
  using idle = createIdleTimer();
  idle.start(1);
  idle.stop();
  await setTimeout(20);
  expect(idle.signal.aborted).toBe(false);
  idle.start(1);
  await setTimeout(20);
  expect(idle.signal.reason).toMatchObject({ code: "ETIMEDOUT" });
});

test("an idle timer that is over is not started by content that ends late, which would keep the process alive", async () => {
  const idle = createIdleTimer();
  idle[Symbol.dispose]();
  idle.start(1);
  await setTimeout(20);
  expect(idle.signal.aborted).toBe(false);
});
