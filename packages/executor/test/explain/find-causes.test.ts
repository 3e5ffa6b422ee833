import { describe, expect, test } from "vitest";
import { describeCauses } from "../../src/explain/describe-cause.ts";
import { compareBuilds } from "../../src/explain/find-causes.ts";
import type { BuildNotes } from "../../src/explain/step-note.ts";
import { base, copy, note } from "./notes.ts";

function explain(after: BuildNotes, before: BuildNotes, position = after.length - 1): string | undefined {
  const causes = compareBuilds(after, before).causes(position);
  return (
    causes &&
    describeCauses(
      causes.map(({ cause }) => cause),
      after[position]!.stage,
    )
  );
}

const debian = base("debian", "one");
const source = copy("src", "1", { parent: 0, position: 2 });
const install = note("RUN install", { parent: 1, position: 3 });

describe("causes()", () => {
  test.each<[string, BuildNotes, BuildNotes, string | undefined]>([
    ["nothing where nothing differs", [debian, source, install], [debian, source, install], ""],
    [
      "the files of a step beneath",
      [debian, copy("src", "2", { parent: 0 }), install],
      [debian, source, install],
      "files of src changed in step 2",
    ],
    [
      "not the files of a step beneath whose layer stayed the same",
      [
        debian,
        { ...copy("src", "2", { parent: 0 }), result: source.result! },
        { ...install, text: "RUN other", definition: {} },
      ],
      [debian, source, install],
      "instruction changed: RUN install -> RUN other",
    ],
    [
      "a base that moved",
      [base("debian", "two"), source, install],
      [debian, source, install],
      "base image moved: debian 7692… -> 3fc4…",
    ],
    [
      "another base",
      [base("alpine", "two"), source, install],
      [debian, source, install],
      "base image changed: debian -> alpine",
    ],
    [
      "not a base whose file system is the same",
      [{ ...base("debian", "two"), result: debian.result! }, source, install],
      [debian, source, install],
      "",
    ],
    [
      "an instruction that is gone",
      [debian, { ...install, parent: 0 }],
      [debian, source, install],
      "instruction removed: COPY src /",
    ],
    [
      "a step that made something else under the same key",
      [debian, note("RUN date", { parent: 0, result: "later" }), install],
      [debian, note("RUN date", { parent: 0, result: "earlier" }), install],
      "RUN date ran again in step 2 with another result",
    ],
    [
      "a copy's own files, not what it stands on",
      [base("debian", "two"), copy("src", "2", { parent: 0 })],
      [debian, copy("src", "1", { parent: 0 })],
      "files of src changed",
    ],
    [
      "what a copy stands on where its files are the same",
      [base("debian", "two"), copy("src", "1", { parent: 0 })],
      [debian, copy("src", "1", { parent: 0 })],
      "base image moved: debian 7692… -> 3fc4…",
    ],
    ["nothing comparable", [debian, note("RUN x", { stage: "new", parent: 0 })], [debian, source], undefined],
  ])("finds %s", (_, after, before, wanted) => {
    expect(explain(after, before)).toBe(wanted);
  });

  test("tells a cause once that a step meets in several ways, and no more than two", () => {
    const args = (value: string): BuildNotes => {
      const more = (parent: number, position: number): Parameters<typeof note>[1] => ({
        parent,
        position,
        buildArgs: ["V"],
        result: `${position}${value}`,
        definition: { "definition.env.V": value, "definition.env.A": value, "definition.user": value },
      });
      return [debian, note("RUN one", more(0, 2)), note("RUN two", more(1, 3))];
    };
    expect(explain(args("2"), args("1"))).toBe("ENV A: 1 -> 2; ARG V: 1 -> 2; and 1 more");
  });

  test("follows a copy into the stage that it copies from", () => {
    const build = (content: string): BuildNotes => [
      debian,
      copy("src", content, { parent: 0, stage: "build", position: 2 }),
      note("RUN make", { parent: 1, stage: "build", position: 3, result: `made of ${content}` }),
      copy("/out", "", { parent: 0, inputs: [{ type: "step", name: "/out", step: 2 }] }),
    ];
    expect(explain(build("2"), build("1"))).toBe("files of src changed in step 2 of build");
  });

  test("is quick for a thousand steps that all changed", () => {
    const steps = (value: string): BuildNotes => [
      debian,
      ...Array.from({ length: 1000 }, (_, n) =>
        note(`RUN ${n}`, { parent: n, position: n + 2, result: value, definition: { "definition.user": value } }),
      ),
    ];
    const comparison = compareBuilds(steps("2"), steps("1"));
    for (let position = 1; position <= 1000; position += 1) expect(comparison.causes(position)).toHaveLength(1);
  });
});
