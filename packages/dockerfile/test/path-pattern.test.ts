import { describe, expect, test } from "vitest";
import { createPathMatcher } from "../src/path-pattern.ts";

describe("createPathMatcher()", () => {
  test.each([
    ["abc", "abc", true],
    ["abc", "abcd", false],
    ["*", "abc", true],
    ["*", "", true],
    ["*", "a/b", false],
    ["*c", "abc", true],
    ["a*", "a", true],
    ["a*/b", "abc/b", true],
    ["a*/b", "a/c/b", false],
    ["a*b*c*d*e*/f", "axbxcxdxe/f", true],
    ["a*b*c*d*e*/f", "axbxcxdxexxx/fff", false],
    ["ab[c]", "abc", true],
    ["ab[b-d]", "abc", true],
    ["ab[e-g]", "abc", false],
    ["ab[^c]", "abc", false],
    ["ab[^e-g]", "abc", true],
    ["a\\*b", "a*b", true],
    ["a\\*b", "ab", false],
    ["a?b", "a☺b", true],
    ["a[^a]b", "a☺b", true],
    ["a???b", "a☺b", false],
    ["[a-ζ]*", "α", true],
    ["*[a-ζ]", "A", false],
    ["a?b", "a/b", false],
    ["a*b", "a/b", false],
    ["a[^x]b", "a/b", false],
    ["[\\]a]", "]", true],
    ["[\\-]", "-", true],
    ["[x\\-]", "x", true],
    ["[x\\-]", "z", false],
    ["[\\-x]", "-", true],
    ["some-*.txt", "some-name.txt", true],
    ["a+(b)|{c}$", "a+(b)|{c}$", true],
    ["a.c", "abc", false],
    ["**", "a", true],
    ["**", "a/b", false],
    ["😀?", "😀😀", true],
  ])("%s against %s is %s", (pattern, name, expected) => {
    expect(createPathMatcher(pattern)(name)).toBe(expected);
  });

  test.each(["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a\\", "[b-a]", "[😀-\uFFFF]"])(
    "takes the damaged pattern %s to match nothing",
    (pattern) => {
      for (const name of ["a", "-", "x", "]", "[", "b", pattern]) expect(createPathMatcher(pattern)(name)).toBe(false);
    },
  );
});
