import { expect, test } from "vitest";
import { parseChallenges } from "../src/challenge.ts";

test.each([
  ["", []],
  ["Basic", [{ scheme: "basic", parameters: {} }]],
  ['Basic realm="a b"', [{ scheme: "basic", parameters: { realm: "a b" } }]],
  [
    'Bearer realm="https://auth/token",service="svc",scope="repository:a/b:pull,push"',
    [
      {
        scheme: "bearer",
        parameters: { realm: "https://auth/token", service: "svc", scope: "repository:a/b:pull,push" },
      },
    ],
  ],
  [
    'BEARER Realm = "x" , error=invalid_token, Basic realm="y"',
    [
      { scheme: "bearer", parameters: { realm: "x", error: "invalid_token" } },
      { scheme: "basic", parameters: { realm: "y" } },
    ],
  ],
  [String.raw`Bearer realm="a\"b"`, [{ scheme: "bearer", parameters: { realm: 'a"b' } }]],
])("parseChallenges() reads %j", (header, challenges) => {
  expect(parseChallenges(header)).toEqual(challenges);
});
