import { describe, expect, test } from "vitest";
import { createGuard, type Guard } from "../src/guard.ts";

const fails = async (): Promise<never> => {
  throw new Error("down");
};
const works = async (): Promise<string> => "up";

function open(): { readonly guard: Guard; readonly warnings: string[]; readonly clock: { now: number } } {
  const warnings: string[] = [];
  const clock = { now: 0 };
  const guard = createGuard({ name: "c", onWarning: (message) => warnings.push(message), now: () => clock.now });
  return { guard, warnings, clock };
}

describe("createGuard()", () => {
  test("turns faults into nothing, and warns once", async () => {
    const { guard, warnings } = open();
    expect(await guard.attempt(fails)).toBeUndefined();
    expect(await guard.attempt(fails)).toBeUndefined();
    expect(await guard.attempt(works)).toBe("up");
    expect(guard.faults).toBe(2);
    expect(warnings).toEqual(["Cache c fails, and the build goes on without it: down"]);
  });

  test("leaves the cache alone for 30 s after three faults in a row, then tries one task", async () => {
    const { guard, clock } = open();
    for (let fault = 0; fault < 3; fault += 1) await guard.attempt(fails);
    expect(guard.isOpen()).toBe(true);
    expect(await guard.attempt(works)).toBeUndefined();
    clock.now = 30_001;
    const answers = await Promise.all([guard.attempt(works), guard.attempt(works)]);
    expect(answers).toEqual(["up", undefined]);
    expect(await guard.attempt(works)).toBe("up");
  });

  test("rests again where the probe fails", async () => {
    const { guard, clock } = open();
    for (let fault = 0; fault < 3; fault += 1) await guard.attempt(fails);
    clock.now = 30_001;
    await guard.attempt(fails);
    expect(guard.isOpen()).toBe(true);
    expect(await guard.attempt(works)).toBeUndefined();
  });

  test("does not count faults that are apart, and rests at once after a fatal one", async () => {
    const { guard } = open();
    for (let fault = 0; fault < 5; fault += 1) {
      await guard.attempt(fails);
      await guard.attempt(works);
    }
    expect(guard.isOpen()).toBe(false);
    guard.report(new Error("wrong bytes"), { fatal: true });
    expect(guard.isOpen()).toBe(true);
  });
});
