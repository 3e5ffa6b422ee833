import { describe, expect, test } from "vitest";
import { Workspace } from "./varve.ts";

function slowFiles(work: Workspace): string {
  return work.context({ Dockerfile: "FROM busybox\nRUN sleep 1; echo 1 >/one\nRUN echo 2 >/two\n" });
}

describe("builders that share a store", () => {
  test("make each step once, where they build the same at once", async () => {
    using work = new Workspace();
    const context = slowFiles(work);
    const outcomes = await Promise.all([1, 2, 3].map(() => work.build(["--progress=plain", context])));
    const events = outcomes.map(({ stderr }) => stderr);
    expect(events.join("\n").match(/CACHED/g)).toHaveLength(4);
    expect(new Set(outcomes.map(({ stdout }) => stdout)).size).toBe(1);
  });
});
