import { describe, expect, test } from "vitest";
import { type GitSource, GitUrlError, parseGitUrl } from "../src/git-source.ts";

const PLAIN = { ref: undefined, directory: "", checksum: undefined, keepGitDir: undefined, submodules: true };

describe("parseGitUrl()", () => {
  test.each<readonly [string, Partial<GitSource>]>([
    ["https://a.b/c.git", { remote: "https://a.b/c.git" }],
    ["https://a.b/c.git#main", { remote: "https://a.b/c.git", ref: "main" }],
    ["https://a.b/c.git#:docs/x", { remote: "https://a.b/c.git", directory: "docs/x" }],
    ["https://a.b/c.git#v1:docs", { remote: "https://a.b/c.git", ref: "v1", directory: "docs" }],
    ["https://a.b/c.git?ref=x&subdir=d", { remote: "https://a.b/c.git", ref: "x", directory: "d" }],
    ["https://a.b/c.git?tag=v1", { remote: "https://a.b/c.git", ref: "refs/tags/v1" }],
    ["https://a.b/c.git?branch=dev", { remote: "https://a.b/c.git", ref: "refs/heads/dev" }],
    ["https://a.b/c.git?commit=abc", { remote: "https://a.b/c.git", ref: "abc", checksum: "abc" }],
    ["https://a.b/c.git?ref=x&checksum=abc", { remote: "https://a.b/c.git", ref: "x", checksum: "abc" }],
    [
      "https://a.b/c.git?keep-git-dir&submodules=0",
      { remote: "https://a.b/c.git", keepGitDir: true, submodules: false },
    ],
    ["git://a.b/c#x", { remote: "git://a.b/c", ref: "x" }],
    ["ssh://git@a.b:22/c", { remote: "ssh://git@a.b:22/c" }],
    ["git@a.b:c/d.git#x:y", { remote: "git@a.b:c/d.git", ref: "x", directory: "y" }],
  ])("reads %s", (url, wanted) => {
    expect(parseGitUrl(url)).toEqual({ ...PLAIN, ...wanted });
  });

  test.each(["a", "./a.git", "https://a.b/c", "https://a.b/c?x=.git", "github.com/a/b.git", "file:///a.git", "a:b"])(
    "sees no repository in %s",
    (url) => {
      expect(parseGitUrl(url)).toBeUndefined();
    },
  );

  test.each([
    ["https://a.b/c.git?what=1", 'unexpected query "what"'],
    ["https://a.b/c.git?ref=", 'query "ref" has no value'],
    ["https://a.b/c.git?ref=a&ref=b", 'query "ref" has multiple values'],
    ["https://a.b/c.git?ref=a#b", 'ref conflicts: "b" vs "a"'],
    ["https://a.b/c.git?tag=a&branch=b", "branch conflicts with tag"],
    ["https://a.b/c.git?subdir=a#x:b", 'subdir conflicts: "b" vs "a"'],
    ["https://a.b/c.git?keep-git-dir=maybe", 'invalid keep-git-dir value: "maybe"'],
  ])("refuses %s", (url, message) => {
    expect(() => parseGitUrl(url)).toThrow(new GitUrlError(message));
  });
});
