import { setTimeout } from "node:timers/promises";
import type { Step } from "@varve/graph";
import { digestOf } from "@varve/oci";
import { expect, test } from "vitest";
import { createCurrentBuild, type StepInput } from "../../src/explain/current-build.ts";

const platform = { os: "linux", architecture: "amd64" };
const base: Step = { kind: "from", name: "FROM x", location: undefined, platform, source: { type: "scratch" } };

function step(position: number): Step {
  const origin = { stage: "", position, text: `WORKDIR /${position}`, scope: new Map(), buildArgs: [] };
  const name = `[${position}/3] WORKDIR /${position}`;
  return { kind: "workdir", name, location: undefined, platform, parent: base, origin, path: "/", user: "" };
}

test("notes() waits for what another caller began to look at", async () => {
  const [one, two] = [step(2), step(3)];
  const build = createCurrentBuild([base, one, two]);
  const digest = digestOf(Buffer.from("x"));
  const inputs = async (): Promise<readonly StepInput[]> => {
    await setTimeout(20);
    return [{ type: "source", name: "a", digest }];
  };
  for (const each of [one, two]) build.keyed(each, { keys: [digest], inputs });
  const first = build.notes();
  const second = await build.notes();
  expect(second[build.positionOf(two)]).toMatchObject({ keys: [digest], inputs: [{ name: "a" }] });
  expect(await first).toBe(second);
  build.resolved(one, digest);
  expect((await build.notes())[build.positionOf(one)]?.result).toBe(digest);
});
