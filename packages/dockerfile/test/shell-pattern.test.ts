import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matchPrefix, matchSuffix, replacePattern } from "../src/shell-pattern.ts";

/** The same by trying everything. */
function matchesSlowly(value: string, pattern: string): boolean {
  if (pattern === "") return value === "";
  const rest = pattern.slice(1);
  if (pattern[0] === "*")
    return Array.from({ length: value.length + 1 }).some((_, length) => matchesSlowly(value.slice(length), rest));
  return value !== "" && (pattern[0] === "?" || pattern[0] === value[0]) && matchesSlowly(value.slice(1), rest);
}

function lengthsSlowly(value: string, pattern: string): number[] {
  return Array.from({ length: value.length + 1 }, (_, length) => length).filter((length) =>
    matchesSlowly(value.slice(0, length), pattern),
  );
}

function replaceSlowly(value: string, pattern: string, all: boolean): string {
  let result = "";
  let lastEnd = -1;
  for (let start = 0; start <= value.length; start += 1) {
    const length = lengthsSlowly(value.slice(start), pattern).at(-1);
    const taken = length !== undefined && !(length === 0 && start === lastEnd) && (all || lastEnd < 0);
    if (taken) result += "<>";
    if (taken) lastEnd = start + length;
    if (taken && length > 0) start += length - 1;
    else result += value[start] ?? "";
  }
  return result;
}

const values = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 });
const patterns = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 5 });

describe("matchPrefix(), matchSuffix()", () => {
  test("agree with a slow oracle", () => {
    fc.assert(
      fc.property(values, patterns, (value, pattern) => {
        const prefixes = lengthsSlowly(value, pattern);
        expect(matchPrefix(value, pattern, { longest: false })).toBe(prefixes[0] ?? 0);
        expect(matchPrefix(value, pattern, { longest: true })).toBe(prefixes.at(-1) ?? 0);
        const starts = Array.from({ length: value.length + 1 }, (_, start) => start).filter((start) =>
          matchesSlowly(value.slice(start), pattern),
        );
        expect(matchSuffix(value, pattern, { longest: true })).toBe(starts[0] ?? value.length);
        expect(matchSuffix(value, pattern, { longest: false })).toBe(starts.at(-1) ?? value.length);
      }),
    );
  });

  test("count a character outside the basic plane as one", () => {
    expect(matchPrefix("😀b", "?", { longest: false })).toBe(2);
    expect(matchSuffix("b😀", "?", { longest: false })).toBe(1);
  });
});

describe("replacePattern()", () => {
  test("agrees with a slow oracle", () => {
    fc.assert(
      fc.property(values, patterns, fc.boolean(), (value, pattern, all) => {
        expect(replacePattern(value, pattern, { replacement: "<>", all })).toBe(replaceSlowly(value, pattern, all));
      }),
      { numRuns: 1000 },
    );
  });

  test("takes a quoted star and question mark for themselves", () => {
    expect(replacePattern("a*b?c", "\\*b\\?", { replacement: "-", all: false })).toBe("a-c");
  });

  test("puts the replacement in as it is", () => {
    expect(replacePattern("abc", "b", { replacement: "$&$1", all: false })).toBe("a$&$1c");
  });

  test("answers at once for a pattern that would make a backtracking matcher try without end", () => {
    const value = "a".repeat(2000);
    expect(replacePattern(value, `${"*a".repeat(20)}*b`, { replacement: "", all: false })).toBe(value);
  });
});
