import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { BuildResult } from "../../src/api/build.ts";
import type { BuildEvent } from "../../src/api/build-event.ts";

interface EventSchema {
  readonly properties: Readonly<Record<string, { readonly const?: string }>>;
}

const file = join(import.meta.dirname, "../../../../docs/progress.schema.json");
const { oneOf, definitions } = JSON.parse(readFileSync(file, "utf8")) as {
  readonly oneOf: readonly (EventSchema | { readonly $ref: string })[];
  readonly definitions: Readonly<Record<string, EventSchema>>;
};
const events = new Map(
  oneOf.map((event) => {
    const schema = "$ref" in event ? definitions[event.$ref.replace("#/definitions/", "")] : event;
    return [schema?.properties["type"]?.const ?? "", Object.keys(schema?.properties ?? {})];
  }),
);

test("BuildEvent has every event of docs/progress.schema.json but those that end a build", () => {
  const types: Readonly<Record<BuildEvent["type"], true>> = {
    graph: true,
    "step-started": true,
    "step-cached": true,
    "step-output": true,
    "step-finished": true,
    "step-failed": true,
    transfer: true,
    phase: true,
    warning: true,
    note: true,
  };
  expect([...Object.keys(types), "result", "error"].toSorted()).toEqual([...events.keys()].toSorted());
});

test("BuildResult has every member of the event `result`, and the digest", () => {
  const members: Readonly<Record<keyof BuildResult, true>> = {
    id: true,
    digest: true,
    descriptor: true,
    names: true,
    platforms: true,
    places: true,
    steps: true,
    cached: true,
    ran: true,
    remote: true,
    waited: true,
    savedTime: true,
    savedBytes: true,
    duration: true,
    cache: true,
  };
  const described = (events.get("result") ?? []).filter((name) => name !== "type");
  expect(Object.keys(members).toSorted()).toEqual([...described, "digest"].toSorted());
});
