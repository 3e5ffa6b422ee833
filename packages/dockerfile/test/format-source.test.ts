import { expect, test } from "vitest";
import { formatSource } from "../src/format-source.ts";

const text = Array.from({ length: 12 }, (_, index) => `line ${index + 1}`).join("\n");

test("formatSource() shows the lines of a place, two before and two after", () => {
  expect(formatSource(text, { file: "Dockerfile", line: 9, endLine: 10 })).toBe(
    [
      "     7 | line 7",
      "     8 | line 8",
      ">>>  9 | line 9",
      ">>> 10 | line 10",
      "    11 | line 11",
      "    12 | line 12",
    ].join("\n"),
  );
});

test("formatSource() underlines the words whose column is known", () => {
  expect(formatSource("RNU a\nb", { file: "Dockerfile", line: 1, endLine: 1, column: 1, length: 3 })).toBe(
    [">>> 1 | RNU a", "      | ^^^", "    2 | b"].join("\n"),
  );
});
