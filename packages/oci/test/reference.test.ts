import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { familiarReference, formatReference, parseReference, withDefaultTag } from "../src/index.ts";

const digest = `sha256:${"a".repeat(64)}`;

describe("parseReference()", () => {
  test.each([
    ["debian", "docker.io/library/debian"],
    ["debian:bookworm", "docker.io/library/debian:bookworm"],
    ["team/app", "docker.io/team/app"],
    ["index.docker.io/debian", "docker.io/library/debian"],
    ["localhost/app", "localhost/app"],
    ["localhost:5000/a/b:1", "localhost:5000/a/b:1"],
    ["ghcr.io/a/b", "ghcr.io/a/b"],
    ["[::1]:5000/a", "[::1]:5000/a"],
    [`ghcr.io/a/b:1@${digest}`, `ghcr.io/a/b:1@${digest}`],
  ])("reads %s as %s", (text, wanted) => {
    expect(formatReference(parseReference(text))).toBe(wanted);
  });

  test.each([
    ["UPPER/Case", /must be in lower case/],
    ["docker.io/Upper", /must be in lower case/],
    ["a//b", /not a repository's name/],
    ["a:-tag", /is not a tag/],
    [`a:${"x".repeat(129)}`, /is not a tag/],
    ["a@sha256:12", /not a sha256 digest/],
    ["", /names no repository/],
    ["localhost:5000/", /names no repository/],
    [`x/${"y".repeat(255)}`, /at most 255/],
  ])("refuses %s", (text, reason) => {
    expect(() => parseReference(text)).toThrowError(
      expect.objectContaining({ code: "REFERENCE_INVALID", message: expect.stringMatching(reason) }),
    );
  });

  test("reads what formatReference() and familiarReference() write", () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    const reference = fc.record({
      registry: fc.constantFrom("docker.io", "ghcr.io", "localhost:5000", "127.0.0.1:1"),
      path: fc.array(word, { minLength: 1, maxLength: 3 }),
      tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/), { nil: undefined }),
    });
    fc.assert(
      fc.property(reference, ({ registry, path, tag }) => {
        const repository = registry === "docker.io" && path.length === 1 ? `library/${path[0]}` : path.join("/");
        const wanted = { registry, repository, ...(tag === undefined ? {} : { tag }) };
        expect(parseReference(formatReference(wanted))).toEqual(wanted);
        expect(parseReference(familiarReference(wanted))).toEqual(wanted);
      }),
    );
  });
});

test("withDefaultTag() adds latest where there is neither tag nor digest", () => {
  expect(withDefaultTag(parseReference("a")).tag).toBe("latest");
  expect(withDefaultTag(parseReference(`a@${digest}`)).tag).toBeUndefined();
});
