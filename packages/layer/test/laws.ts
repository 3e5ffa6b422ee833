import fc from "fast-check";
import { test as plain } from "vitest";

export { fc };

/** A test of a law: `body` holds for all values of the arbitraries. */
export function test<Values extends [unknown, ...unknown[]]>(
  name: string,
  arbitraries: { [Index in keyof Values]: fc.Arbitrary<Values[Index]> },
  body: (...values: Values) => void | Promise<void>,
  runs = 100,
): void {
  plain(name, async () => {
    const law = fc.asyncProperty(...arbitraries, async (...values: Values) => {
      await body(...values);
    });
    await fc.assert(law, { numRuns: runs });
  });
}
