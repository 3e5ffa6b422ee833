import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitText, padText, printable, textWidth } from "../../src/progress/text-width.ts";

test.each([
  ["plain", 5],
  ["日本語", 6],
  ["✅ ok", 5],
  ["👩‍👩‍👧", 2],
  ["e\u0301", 1],
  ["─━", 2],
  ["", 0],
])("textWidth(%j) is %d", (text, wanted) => {
  expect(textWidth(text)).toBe(wanted);
});

describe("fitText()", () => {
  test.each([
    ["abcdef", 6, "abcdef"],
    ["abcdef", 5, "abcd…"],
    ["日本語", 5, "日本…"],
    ["日本語", 4, "日…"],
    ["abc", 0, ""],
  ])("of %j in %d columns", (text, width, wanted) => {
    expect(fitText(text, width)).toBe(wanted);
  });

  test("never gives more than it was allowed, and padText() fills up to it", () => {
    const texts = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(texts, fc.integer({ min: 0, max: 30 }), (text, width) => {
        const fitted = fitText(printable(text), width);
        expect(textWidth(fitted)).toBeLessThanOrEqual(width);
        expect(textWidth(padText(fitted, width))).toBe(width);
      }),
    );
  });
});

test("printable() keeps to one line, without control sequences", () => {
  expect(printable("a\u001B[31mb\tc\r\nd\u0007e")).toBe("ab c d e");
});
