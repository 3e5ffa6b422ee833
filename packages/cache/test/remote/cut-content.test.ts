import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { cutContent } from "../../src/remote/cut-content.ts";

/** The same bytes each time. */
function fixedBytes(length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, number) =>
    createHash("sha256").update(String(number)).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

const contentsOf = (bytes: Buffer): ReadonlySet<string> =>
  new Set(cutContent(bytes).map(({ offset, length }) => bytes.toString("latin1", offset, offset + length)));

describe("cutContent()", () => {
  test.each([0, 1, 8_192, 1_000_000])("covers %i bytes without a gap, in pieces of bounded length", (size) => {
    const pieces = cutContent(randomBytes(size));
    let end = 0;
    for (const { offset, length } of pieces) {
      expect(offset).toBe(end);
      expect(length).toBeLessThanOrEqual(128 * 1024);
      end += length;
    }
    expect(end).toBe(size);
    expect(pieces.slice(0, -1).every(({ length }) => length >= 8 * 1024)).toBe(true);
  });

  test("cuts alike on every machine", () => {
    expect(cutContent(fixedBytes(200_000)).map(({ offset }) => offset)).toEqual([
      0, 20_395, 32_660, 46_995, 118_315, 131_855, 160_072, 170_620, 183_001, 197_380,
    ]);
  });

  test("keeps nearly all pieces where bytes are put in or change in the middle", () => {
    const before = fixedBytes(2_000_000);
    const changed = Buffer.concat([
      before.subarray(0, 1_000_000),
      Buffer.from("new bytes"),
      before.subarray(1_000_004),
    ]);
    const known = contentsOf(before);
    const fresh = [...contentsOf(changed)].filter((piece) => !known.has(piece));
    expect(fresh.reduce((sum, piece) => sum + piece.length, 0)).toBeLessThan(300_000);
  });
});
