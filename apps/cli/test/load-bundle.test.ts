import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";

const LOADER = join(import.meta.dirname, "../bin/load-bundle.js");
const stem = `main.js-1-${process.version}-${process.arch}-build`;
const workStem = `work-2.js-2-${process.version}-${process.arch}-build`;
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "varve-bundle-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const versions = { "main.js": "1", "work-2.js": "2" };
  writeFileSync(join(root, "package.json"), JSON.stringify({ type: "commonjs", versions }));
  writeFileSync(join(root, "other.js"), 'exports.name = require("./main.js").name;');
  const other = 'exports.other = () => require("./other.js").name;';
  const work = 'exports.work = () => require("./work-2.js").work();';
  writeFileSync(join(root, "main.js"), `exports.name = "n\\u00e4me"; ${other} ${work}`);
  writeFileSync(
    join(root, "work-2.js"),
    'const main = require("./main.js"); exports.work = () => main.name + " works";',
  );
});

/** What a new process prints that loads the bundle, calls it, and ends. */
function load(call: "other" | "work" = "other"): string {
  const options = `cache: ${JSON.stringify(join(root, "code"))}, key: "build", setMemory: console.log`;
  const program = `console.log(require(${JSON.stringify(LOADER)}).loadBundle(${JSON.stringify(root)}, { ${options} }).${call}())`;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
  return stdout + stderr;
}

const kept = (): readonly string[] => readdirSync(join(root, "code"));

test("loadBundle() keeps the code of three runs, which other files of the bundle share", () => {
  const found = [1, 2, 3, 4].map(() => {
    expect(load()).toBe("näme\n");
    return kept();
  });
  expect(found).toEqual([[`${stem}.1`], [`${stem}.2`], [`${stem}.3`], [`${stem}.3`]]);
});

test("loadBundle() makes code again that is damaged", () => {
  load();
  writeFileSync(join(root, "code", `${stem}.1`), "damaged");
  expect(load()).toBe("näme\n");
  expect(load()).toBe("näme\n");
  expect(kept()).toEqual([`${stem}.2`]);
});

test("loadBundle() takes the place of code that is complete and damaged", () => {
  load();
  writeFileSync(join(root, "code", `${stem}.3`), "damaged");
  expect(load()).toBe("näme\n");
  expect(kept()).toEqual([`${stem}.1`]);
});

test("loadBundle() keeps memory low where more than the first file is loaded, and not while code is taken or given", () => {
  expect(load("work")).toBe("low\nnäme works\nusual\nusual\n");
  expect(kept()).toEqual([`${stem}.1`, `${workStem}.1`]);
  for (const run of [2, 3]) {
    load("work");
    expect(kept()).toEqual([`${stem}.${run}`, `${workStem}.${run}`]);
  }
  expect(load("work")).toBe("low\nnäme works\n");
});

test("loadBundle() works where no code can be kept", () => {
  writeFileSync(join(root, "code"), "a file");
  expect(load()).toBe("näme\n");
});

test("loadBundle() removes code that was kept a month ago", () => {
  load();
  const [old, recent] = ["old.js-v1-x64-build.3", "recent.js-v1-x64-build.3"].map((name) => join(root, "code", name));
  for (const file of [old, recent]) writeFileSync(file ?? "", "");
  const days = (count: number): number => Date.now() / 1000 - count * 24 * 3600;
  utimesSync(old ?? "", days(31), days(31));
  utimesSync(recent ?? "", days(29), days(29));
  load();
  expect(kept().toSorted()).toEqual([`${stem}.2`, "recent.js-v1-x64-build.3"].toSorted());
});
