import { assert, constantFrom, option, property, record, stringMatching, tuple, array, integer } from "fast-check";
import { expect, test } from "vitest";
import {
  digestOf,
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@varve/oci";

const DIGEST = digestOf(Buffer.from("x"));

test.each([
  ["debian", "docker.io", "library/debian", undefined, undefined],
  ["debian:12", "docker.io", "library/debian", "12", undefined],
  ["bitnami/redis", "docker.io", "bitnami/redis", undefined, undefined],
  ["docker.io/debian", "docker.io", "library/debian", undefined, undefined],
  ["index.docker.io/library/debian", "docker.io", "library/debian", undefined, undefined],
  ["localhost/a", "localhost", "a", undefined, undefined],
  ["localhost:5000/a/b:t", "localhost:5000", "a/b", "t", undefined],
  ["Registry/a", "Registry", "a", undefined, undefined],
  ["127.0.0.1:5000/a", "127.0.0.1:5000", "a", undefined, undefined],
  ["[::1]:5000/a:t", "[::1]:5000", "a", "t", undefined],
  ["ghcr.io/o/r__x/y-z.1:T_1.2-3", "ghcr.io", "o/r__x/y-z.1", "T_1.2-3", undefined],
  [`debian@${DIGEST}`, "docker.io", "library/debian", undefined, DIGEST],
  [`gcr.io/a:t@${DIGEST}`, "gcr.io", "a", "t", DIGEST],
  ["foo/bar/baz", "docker.io", "foo/bar/baz", undefined, undefined],
])("parseReference() reads %s", (text, registry, repository, tag, digest) => {
  const reference = parseReference(text);
  expect({ tag: undefined, digest: undefined, ...reference }).toEqual({ registry, repository, tag, digest });
});

test.each([
  ["", "it names no repository"],
  ["Debian", "must be in lower case"],
  ["localhost/", "it names no repository"],
  ["a:", '"" is not a tag'],
  ["a:-x", '"-x" is not a tag'],
  [`a:${"t".repeat(129)}`, "is not a tag"],
  ["a@sha256:12", "is not a sha256 digest"],
  [`a@${DIGEST}@${DIGEST}`, "is not a sha256 digest"],
  ["a//b", "is not a repository's name"],
  ["a..b", "is not a repository's name"],
  ["a___b", "is not a repository's name"],
  ["-a", "is not a repository's name"],
  ["a b", "is not a repository's name"],
  ["a.b.:x/c", "is not a registry's host"],
  ["https://a.b/c", "is not a registry's host"],
  [`a.b/${"x".repeat(256)}`, "at most 255 characters"],
])("parseReference() refuses %j: %s", (text, reason) => {
  expect(() => parseReference(text)).toThrow(
    expect.objectContaining({ code: "REFERENCE_INVALID", message: expect.stringContaining(reason) as string }),
  );
});

test.each([
  ["debian", "debian"],
  ["docker.io/library/debian:12", "debian:12"],
  ["docker.io/a/b", "a/b"],
  ["docker.io/library/a/b", "library/a/b"],
  ["docker.io/a.b/c", "docker.io/a.b/c"],
  ["docker.io/localhost/c", "docker.io/localhost/c"],
  ["quay.io/a", "quay.io/a"],
])("familiarReference() writes %s as %s", (text, familiar) => {
  expect(familiarReference(parseReference(text))).toBe(familiar);
});

test("withDefaultTag() adds latest where there is neither tag nor digest", () => {
  expect(withDefaultTag(parseReference("a")).tag).toBe("latest");
  expect(withDefaultTag(parseReference("a:b")).tag).toBe("b");
  expect(withDefaultTag(parseReference(`a@${DIGEST}`)).tag).toBeUndefined();
});

const component = stringMatching(/^[a-z0-9]{1,6}(?:(?:[._]|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
const host = tuple(
  constantFrom("docker.io", "localhost", "quay.io", "registry.example.com", "127.0.0.1", "[::1]", "UPPER"),
  option(integer({ min: 1, max: 65_535 }), { nil: undefined }),
).map(([name, port]) => (port === undefined || name === "docker.io" ? name : `${name}:${port}`));
const reference = record({
  registry: host,
  path: array(component, { minLength: 1, maxLength: 4 }),
  tag: option(stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/), { nil: undefined }),
  digest: option(
    stringMatching(/^[a-z]*$/).map((text) => digestOf(Buffer.from(text))),
    { nil: undefined },
  ),
}).map(({ registry, path, tag, digest }): Reference => {
  const repository = registry === "docker.io" && path.length === 1 ? `library/${path[0]}` : path.join("/");
  return { registry, repository, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
});

test("parseReference() reads what formatReference() and familiarReference() write", () => {
  assert(
    property(reference, (each) => {
      expect(parseReference(formatReference(each))).toEqual(each);
      expect(parseReference(familiarReference(each))).toEqual(each);
    }),
    { numRuns: 500 },
  );
});
