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

test.each([
  ["the first whole word", "COPY ab a /b", 1, "a", [">>> 1 | COPY ab a /b", "      |         ^"]],
  ["a part of a word where it stands alone nowhere", "RUN ab", 1, "b", [">>> 1 | RUN ab", "      |      ^"]],
  ["in a continuation line", "RUN a \\\n  bc", 2, "bc", [">>> 1 | RUN a \\", ">>> 2 |   bc", "      |   ^^"]],
  ["behind a tab", "RUN\ta", 1, "a", [">>> 1 | RUN\ta", "      |    \t^"]],
  ["nothing where the word was made by variables", "RUN $A", 1, "value", [">>> 1 | RUN $A"]],
])("formatSource() marks %s", (_, source, endLine, word, lines) => {
  expect(formatSource(source, { file: "Dockerfile", line: 1, endLine }, word)).toBe(lines.join("\n"));
});

test.each(["FROM a\nRUN", "FROM a\nRUN\n", "FROM a\r\nRUN\r\n"])(
  "formatSource() ends with the last line of %j",
  (source) => {
    expect(formatSource(source, { file: "Dockerfile", line: 2, endLine: 2 })).toBe("    1 | FROM a\n>>> 2 | RUN");
  },
);
