import { describe, expect, test } from "vitest";
import { pairSteps } from "../../src/explain/pair-steps.ts";
import { copy, note } from "./notes.ts";

const build = (...texts: readonly string[]): ReturnType<typeof note>[] => texts.map((text) => note(text));

describe("pairSteps()", () => {
  test.each([
    [
      "the same instructions",
      build("a", "b"),
      build("a", "b"),
      [
        [0, 0],
        [1, 1],
      ],
    ],
    [
      "around a new one",
      build("a", "new", "b"),
      build("a", "b"),
      [
        [0, 0],
        [2, 1],
      ],
    ],
    [
      "around one that is gone",
      build("a", "c"),
      build("a", "b", "c"),
      [
        [0, 0],
        [1, 2],
      ],
    ],
    [
      "an edited one in its place",
      build("a", "b2", "c"),
      build("a", "b", "c"),
      [
        [0, 0],
        [1, 1],
        [2, 2],
      ],
    ],
    [
      "the longest common sequence",
      build("b", "a", "c"),
      build("a", "b", "c"),
      [
        [1, 0],
        [2, 2],
      ],
    ],
    ["only the same kind", [copy("x", "")], build("a"), []],
    ["not what the earlier build did not reach", build("a"), [note("a", { keys: [] })], []],
    [
      "unnamed stages by their order from the end",
      [note("a", { stage: "stage-1" }), note("b", { stage: "stage-2" })],
      [note("a", { stage: "stage-0" }), note("b", { stage: "stage-1" })],
      [
        [0, 1],
        [1, 0],
      ],
    ],
    ["no stage with one of another name", [note("a", { stage: "x" })], [note("a", { stage: "y" })], []],
  ])("pairs %s", (_, after, before, wanted) => {
    expect([...pairSteps(after, before)].toSorted(([a], [b]) => a - b)).toEqual(wanted);
  });
});
