import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createIgnoreMatcher, parseDockerignore } from "../src/dockerignore.ts";
import { DockerfileError } from "../src/errors.ts";

function isExcluded(text: string, path: string): boolean {
  return createIgnoreMatcher(parseDockerignore(text)).matches(path).excluded;
}

/** One pattern against one path by trying every length for every star. */
function matchesSlowly(pattern: string, path: string): boolean {
  if (pattern === "") return path === "";
  if (pattern.startsWith("**")) {
    const rest = pattern.slice(pattern[2] === "/" ? 3 : 2);
    if (rest === "") return true;
    return starts(path, (before) => before === "" || before.endsWith("/")).some((tail) => matchesSlowly(rest, tail));
  }
  if (pattern.startsWith("*"))
    return starts(path, (before) => !before.includes("/")).some((tail) => matchesSlowly(pattern.slice(1), tail));
  const [first] = path;
  if (first === undefined || !(pattern[0] === first || (pattern[0] === "?" && first !== "/"))) return false;
  return matchesSlowly(pattern.slice(1), path.slice(1));
}

function starts(path: string, accepts: (before: string) => boolean): readonly string[] {
  return Array.from({ length: path.length + 1 }, (_, length) => length)
    .filter((length) => accepts(path.slice(0, length)))
    .map((length) => path.slice(length));
}

/** All lines in order, each for the path and everything above it: the last word counts. */
function isExcludedSlowly(lines: readonly string[], path: string): boolean {
  const names = path.split("/");
  const parents = names.map((_, count) => names.slice(0, count + 1).join("/"));
  let excluded = false;
  for (const line of lines) {
    const negated = line.startsWith("!");
    const pattern = (negated ? line.slice(1) : line).replaceAll(/^\/+|\/+$/g, "").replaceAll(/\/+/g, "/");
    if (pattern !== "" && parents.some((parent) => matchesSlowly(pattern, parent))) excluded = !negated;
  }
  return excluded;
}

describe("parseDockerignore()", () => {
  test.each([
    ["a", [{ text: "a", line: 1, pattern: "a", negated: false }]],
    ["# c\n\n  a/ \n", [{ text: "a/", line: 3, pattern: "a", negated: false }]],
    [
      "!a\r\nb\r\n",
      [
        { text: "!a", line: 1, pattern: "a", negated: true },
        { text: "b", line: 2, pattern: "b", negated: false },
      ],
    ],
    ["/a/./b//c/../d/", [{ text: "/a/./b//c/../d/", line: 1, pattern: "a/b/d", negated: false }]],
    ["\uFEFFa", [{ text: "a", line: 1, pattern: "a", negated: false }]],
    [" # a", [{ text: "# a", line: 1, pattern: "# a", negated: false }]],
    [".", []],
    ["/", []],
  ])("reads %j", (text, expected) => {
    expect(parseDockerignore(text)).toEqual(expected);
  });
});

describe("createIgnoreMatcher()", () => {
  test.each([
    ["a", "a", true],
    ["a", "a/b/c", true],
    ["a", "b/a", false],
    ["a/", "a/b", true],
    ["/a", "a", true],
    ["*.md", "x.md", true],
    ["*.md", "d/x.md", false],
    ["**/*.md", "x.md", true],
    ["**/*.md", "a/b/x.md", true],
    ["*/*.md", "a/x.md", true],
    ["*/*.md", "a/b/x.md", false],
    ["**", "a/b", true],
    ["a/**", "a/b/c", true],
    ["a/**", "a", false],
    ["a/**/b", "a/b", true],
    ["a/**/b", "a/x/y/b", true],
    ["a/**/b", "ab", false],
    ["**/node_modules", "a/node_modules/b/c", true],
    ["a?c", "abc", true],
    ["a?c", "a/c", false],
    ["[ab]", "a", true],
    ["[^ab]", "a", false],
    ["[a-c]x", "bx", true],
    ["node-*", "node-1", true],
    ["\\*", "*", true],
    ["\\*", "a", false],
    ["a b", "a b", true],
    [".git", ".github", false],
    ["*\n!a", "a", false],
    ["*\n!a", "b", true],
    ["*\n!a/b", "a/b/c", false],
    ["*\n!a/b", "a/c", true],
    ["*\n!a\na/x", "a/x", true],
    ["!a\na", "a", true],
    ["*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true],
    ["*.md\n!README*.md\nREADME-secret.md", "README-public.md", false],
    ["*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false],
    ["# a", "# a", false],
    ["../a", "a", true],
  ])("with %j, leaves out %s: %s", (text, path, expected) => {
    expect(isExcluded(text, path)).toBe(expected);
  });

  test("tells which line decided", () => {
    const matcher = createIgnoreMatcher(parseDockerignore("*\n!a\n"));
    expect(matcher.matches("a/b").pattern).toMatchObject({ line: 2, text: "!a" });
    expect(matcher.matches("b").pattern).toMatchObject({ line: 1, text: "*" });
    expect(createIgnoreMatcher([]).matches("a")).toEqual({ excluded: false });
  });

  test.each(["[a", "a[", "[a-", "a\\", "[]", "!", "! "])("refuses the damaged pattern %s", (pattern) => {
    expect(() => createIgnoreMatcher(parseDockerignore(`ok\n${pattern}`))).toThrow(DockerfileError);
    expect(() => createIgnoreMatcher(parseDockerignore(`ok\n${pattern}`))).toThrow("line 2");
  });

  const name = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 2 });
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));
  const part = fc.oneof(fc.constantFrom("*", "**", "?", "a*", "*b", "a?", "*a*"), name);
  const line = fc
    .tuple(
      fc.constantFrom("", "!"),
      fc.constantFrom("", "/"),
      fc.array(part, { minLength: 1, maxLength: 4 }),
      fc.constantFrom("", "/"),
    )
    .map(([negation, before, names, after]) => negation + before + names.join("/") + after);

  test("agrees with a slow oracle", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), path, (lines, file) => {
        expect(isExcluded(lines.join("\n"), file)).toBe(isExcludedSlowly(lines, file));
      }),
      { numRuns: 3000 },
    );
  });

  test("never skips an excluded directory with something included below", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), path, path, (lines, directory, below) => {
        const matcher = createIgnoreMatcher(parseDockerignore(lines.join("\n")));
        fc.pre(matcher.matches(directory).excluded && matcher.canSkipDirectory(directory));
        expect(matcher.matches(`${directory}/${below}`).excluded).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ["*", "a", true],
    ["*\n!b", "a", true],
    ["*\n!a/b", "a", false],
    ["*\n!**/b", "a", false],
  ])("with %j, can skip %s: %s", (text, directory, expected) => {
    expect(createIgnoreMatcher(parseDockerignore(text)).canSkipDirectory(directory)).toBe(expected);
  });
});
