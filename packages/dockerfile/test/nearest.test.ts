import { expect, test } from "vitest";
import { nearest } from "../src/nearest.ts";

test.each([
  ["RNU", ["RUN", "USER"], "RUN"],
  ["copi", ["COPY", "CMD"], "COPY"],
  ["--mont", ["--mount", "--network"], "--mount"],
  ["xyz", ["RUN", "USER"], undefined],
  ["a", [], undefined],
  ["PAHT", ["HOME", "PATH"], "PATH"],
])("nearest() to %s of %j is %s", (word, candidates, expected) => {
  expect(nearest(word, candidates)).toBe(expected);
});
