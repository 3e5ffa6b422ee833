import { nanosecondsOf, secondsOf } from "../src/split-time.ts";
import { fc, test as law } from "./laws.ts";
import { expect, test } from "vitest";

const second = 10n ** 9n;

function expectSplit(time: bigint): void {
  const seconds = secondsOf(time);
  const nanoseconds = nanosecondsOf(time, seconds);
  expect(BigInt(seconds) * second + BigInt(nanoseconds)).toBe(time);
  expect(nanoseconds).toBeGreaterThanOrEqual(0);
  expect(nanoseconds).toBeLessThan(1e9);
}

law("a time is its seconds and nanoseconds", [fc.bigInt(-(10n ** 22n), 10n ** 22n)], expectSplit, 1000);

law(
  "a time next to a whole second is",
  [fc.bigInt(-(10n ** 10n), 10n ** 10n), fc.constantFrom(-1n, 0n, 1n)],
  (seconds, more) => expectSplit(seconds * second + more),
  1000,
);

test.each([0n, -1n, 1n, 2n ** 63n - 1n, 2n ** 63n, -(2n ** 63n) + 1n, -(2n ** 63n), -(2n ** 63n) - 1n])(
  "%s ns is split",
  expectSplit,
);
