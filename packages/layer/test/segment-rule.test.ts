import { describe, expect, test } from "vitest";
import type { Entry, Segment } from "../src/index.ts";
import { directory, file, pack } from "./scratch.ts";

const count = 3000;

/** Some 9 MiB in files of various sizes. */
function tree(): Entry[] {
  const files = Array.from({ length: count }, (_, number) =>
    file(`d${number % 30}/file-${number}`, `${number} `.repeat(1 + ((number * 37) % 1000))),
  );
  return [...Array.from({ length: 30 }, (_, number) => directory(`d${number}`)), ...files];
}

async function segmentsOf(entries: readonly Entry[]): Promise<readonly Segment[]> {
  return (await pack(entries)).index.segments ?? [];
}

function newSegments(before: readonly Segment[], after: readonly Segment[]): number {
  const known = new Set(before.map(({ tarDigest }) => tarDigest));
  return after.filter(({ tarDigest }) => !known.has(tarDigest)).length;
}

describe("startsSegment()", () => {
  test("cuts a layer into segments of about 1 MiB", async () => {
    const segments = await segmentsOf(tree());
    const total = segments.reduce((sum, { tarLength }) => sum + tarLength, 0);
    expect(total / segments.length).toBeGreaterThan(512 * 1024);
    expect(total / segments.length).toBeLessThan(2 * 1024 * 1024);
    expect(Math.max(...segments.map(({ tarLength }) => tarLength))).toBeLessThan(5 * 1024 * 1024);
  });

  test("lets one file that changes, comes or goes disturb two segments at most", async () => {
    const entries = tree();
    const before = await segmentsOf(entries);
    expect(before.length).toBeGreaterThan(5);
    for (const at of [30, 500, 1111, 1731, 2222, count + 29]) {
      const longer = entries.with(at, file(entries[at]?.path ?? "", "x".repeat(30_000)));
      const without = entries.toSpliced(at, 1);
      const withMore = [...entries, file(`d7/another-${at}`, "x".repeat(5000))];
      for (const changed of [longer, without, withMore]) {
        expect(newSegments(before, await segmentsOf(changed))).toBeLessThanOrEqual(2);
      }
    }
  });

  test("cuts a large file at fixed places of its own", async () => {
    const body = Buffer.alloc(9 * 1024 * 1024, "abcdefg");
    const changed = Buffer.from(body);
    changed[5 * 1024 * 1024 + 7] = 0;
    const large = (bytes: Buffer): Entry => ({ ...file("large", ""), size: bytes.length, content: { bytes } });
    const before = await segmentsOf([file("a", "1"), large(body), file("z", "1")]);
    expect(newSegments(before, await segmentsOf([file("a", "1"), large(changed), file("z", "1")]))).toBe(1);
    expect(before.length).toBeGreaterThanOrEqual(10);
  });
});
