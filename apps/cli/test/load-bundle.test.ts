import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";

const LOADER = join(import.meta.dirname, "../bin/load-bundle.js");
const stem = `needed-1.js-${process.version}-${process.arch}-build`;
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "varve-bundle-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  writeFileSync(join(root, "package.json"), '{ "type": "commonjs", "needed": "needed-1.js" }');
  writeFileSync(join(root, "other.js"), 'exports.name = require("./needed-1.js").name;');
  const text = 'exports.name = "n\\u00e4me"; exports.other = () => require("./other.js").name;';
  writeFileSync(join(root, "needed-1.js"), text);
});

/** What a new process prints that loads the bundle, calls it, and ends. */
function load(): string {
  const options = JSON.stringify({ cache: join(root, "code"), key: "build" });
  const program = `console.log(require(${JSON.stringify(LOADER)}).loadBundle(${JSON.stringify(root)}, ${options}).other())`;
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
