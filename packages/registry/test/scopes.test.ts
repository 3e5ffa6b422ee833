import { array, assert, constantFrom, property, shuffledSubarray, tuple } from "fast-check";
import { expect, test } from "vitest";
import { mergeScopes, repositoryScope } from "../src/scopes.ts";

test.each([
  [[], []],
  [["repository:a:pull"], ["repository:a:pull"]],
  [["repository:a:push,pull", "repository:a:pull"], ["repository:a:pull,push"]],
  [
    ["repository:b:pull", "repository:a:pull"],
    ["repository:a:pull", "repository:b:pull"],
  ],
  [["repository:host:5000/a:pull", "repository:host:5000/a:push"], ["repository:host:5000/a:pull,push"]],
  [
    [repositoryScope("a", "push"), repositoryScope("b", "pull")],
    ["repository:a:pull,push", "repository:b:pull"],
  ],
])("mergeScopes() makes %j %j", (scopes, merged) => {
  expect(mergeScopes(scopes)).toEqual(merged);
});

const scope = tuple(
  constantFrom("repository", "registry"),
  constantFrom("a", "a/b", "host:5000/a"),
  shuffledSubarray(["pull", "push", "delete"], { minLength: 1 }),
).map(([type, name, actions]) => `${type}:${name}:${actions.join(",")}`);

test("mergeScopes() gives the same for the same rights, in whatever order and however often", () => {
  assert(
    property(array(scope, { maxLength: 6 }), (scopes) => {
      const merged = mergeScopes(scopes);
      expect(mergeScopes(scopes.toReversed())).toEqual(merged);
      expect(mergeScopes([...scopes, ...merged])).toEqual(merged);
    }),
  );
});
