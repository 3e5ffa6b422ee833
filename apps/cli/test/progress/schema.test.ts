import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { describe, expect, test } from "vitest";
import { createJsonProgress } from "../../src/progress/json.ts";
import { EVENTS } from "./events.ts";

const docs = join(import.meta.dirname, "../../../../docs");
const schema = JSON.parse(readFileSync(join(docs, "progress.schema.json"), "utf8")) as object;

/** Readers are to ignore what they do not know; here nothing may be there that the schema does not name. */
function withoutOthers(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(withoutOthers);
  if (part === null || typeof part !== "object") return part;
  const members = Object.fromEntries(Object.entries(part).map(([name, each]) => [name, withoutOthers(each)]));
  return "properties" in members && "type" in members ? { ...members, additionalProperties: false } : members;
}

const validate: ValidateFunction = new Ajv({ allErrors: true }).compile(withoutOthers(schema) as object);

/** What is wrong with `line`; "" for nothing. */
function faultsOf(line: unknown): string {
  return validate(line) ? "" : JSON.stringify([line, validate.errors]);
}

describe("docs/progress.schema.json", () => {
  test("holds for every event", () => {
    const lines: string[] = [];
    const progress = createJsonProgress({ write: (text) => lines.push(text) });
    for (const event of EVENTS) progress.onEvent(event);
    progress.note("a note");
    expect(lines).toHaveLength(EVENTS.length + 1);
    for (const line of lines) expect(faultsOf(JSON.parse(line))).toBe("");
  });

  test("holds for the examples in docs/progress.md", () => {
    const text = readFileSync(join(docs, "progress.md"), "utf8");
    const lines = text.split("\n").filter((line) => line.startsWith("{"));
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) expect(faultsOf(JSON.parse(line))).toBe("");
  });

  test.each([
    [{ type: "unknown" }],
    [{ type: "note" }],
    [{ type: "step-cached", step: 1, name: "x", time: 1, source: "elsewhere" }],
    [{ type: "phase", name: "x", state: "started", time: 1, more: true }],
  ])("does not hold for %j", (line) => {
    expect(faultsOf(line)).not.toBe("");
  });
});
