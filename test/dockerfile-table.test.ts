import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FLAGS, INSTRUCTIONS } from "../packages/dockerfile/src/parse-instruction.ts";

const root = join(import.meta.dirname, "..");
const corpus = join(root, "..", "shared", "conformance", "cases");
const page = readFileSync(join(root, "docs/dockerfile.md"), "utf8");

interface Row {
  readonly feature: string;
  readonly status: string;
  readonly proof: string;
}

const ROWS: readonly Row[] = page.split("\n").flatMap((line) => {
  const [, feature = "", status = "", proof = ""] =
    /^\| (.*?) \| (yes|differs|no|varve) \| ?(.*?) ?\|$/.exec(line) ?? [];
  return status === "" || status === "varve" ? [] : [{ feature, status, proof }];
});

/** Files and words in them, and cases of the corpus, that a row names. */
function proofsOf({ proof }: Row): readonly { readonly file?: string; readonly words: readonly string[] }[] {
  return proof.split("; ").map((part) => {
    const [, file, text = ""] = /^`([^`]+)` (.+)$/.exec(part) ?? [];
    if (file !== undefined) return { file, words: [text] };
    return { words: part.replace(/^cases /, "").split(", ") };
  });
}

describe("docs/dockerfile.md", () => {
  test("has a row for every table line, and shows all that it claims", () => {
    expect(ROWS.length).toBe(page.split("\n").filter((line) => /^\| (?!feature|---)/.test(line)).length);
    for (const row of ROWS.filter(({ status }) => status !== "no")) expect(row.proof, row.feature).not.toBe("");
  });

  test.each(ROWS.filter(({ proof }) => proof !== ""))("$feature: what shows it exists", (row) => {
    for (const { file, words } of proofsOf(row)) {
      if (file !== undefined) expect(readFileSync(join(root, file), "utf8")).toContain(words[0]);
      else if (existsSync(corpus))
        expect(words.filter((name) => !existsSync(join(corpus, name, "case.json")))).toEqual([]);
    }
  });

  test("leaves out no instruction and no flag", () => {
    const features = ROWS.map(({ feature }) => feature).join("\n");
    for (const name of INSTRUCTIONS) expect(features).toMatch(new RegExp(`\`[^\`]*\\b${name}\\b`));
    for (const [name, flags] of Object.entries(FLAGS)) {
      const ofInstruction = ROWS.filter(({ feature }) => feature.includes(name)).map(({ feature }) => feature);
      for (const flag of Object.keys(flags)) expect(ofInstruction.join("\n"), name).toContain(`--${flag}`);
    }
  });

  test("says of all that differs how it differs", () => {
    const differences = readFileSync(join(root, "docs/differences.md"), "utf8");
    for (const { feature } of ROWS.filter(({ status }) => status === "differs")) {
      const [, words = ""] = /`(?:RUN )?([^`=]+)/.exec(feature) ?? [];
      const named = words === "--network" ? "Network of `RUN`" : words;
      expect(differences).toContain(named);
    }
  });
});
