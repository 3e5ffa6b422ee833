/**
 * Runs the conformance corpus (cases with results measured from BuildKit) against the built command line, where the
 * corpus is present beside the checkout. Ends with `N passed, N failed`, and with an error where a case fails that
 * docs/differences.md does not list, or one passes that it lists.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const corpus = join(root, "..", "shared", "conformance");
const results = process.env["VARVE_CONFORMANCE_RESULTS"];

if (!existsSync(join(corpus, "run.py"))) {
  console.log("conformance: the corpus is not beside this checkout, skipped");
  console.log("0 passed, 0 failed");
  process.exit(0);
}

const scratch = mkdtempSync(join(tmpdir(), "varve-conformance-"));
try {
  const json = results ?? join(scratch, "results.json");
  const builder = `${process.execPath} ${join(root, "apps/cli/bin/varve.js")} build -f {dockerfile} --output {output} {args} {context}`;
  const run = spawnSync(
    "python3",
    [join(corpus, "run.py"), "--builder", builder, "-j", "2", "-q", "--json", json, ...process.argv.slice(2)],
    {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, VARVE_STORE: join(scratch, "store"), PYTHONDONTWRITEBYTECODE: "1" },
    },
  );
  if (run.error !== undefined) throw run.error;
  const cases = JSON.parse(readFileSync(json, "utf8")) as readonly { readonly name: string; readonly pass: boolean }[];
  const different = expectedDifferences();
  const wrong = cases.filter(({ name, pass }) => pass === different.includes(name));
  for (const { name, pass } of wrong)
    console.log(`conformance: ${name} ${pass ? "passes, though docs/differences.md lists it" : "differs"}`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Names of the list items below "Conformance cases": `* NAME: reason`. */
function expectedDifferences(): readonly string[] {
  const [, list = ""] = readFileSync(join(root, "docs/differences.md"), "utf8").split("\n## Conformance cases\n");
  return [...list.matchAll(/^[*-] `([a-z0-9-]+)`:/gm)].map(([, name = ""]) => name);
}
