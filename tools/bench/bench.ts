/**
 * Measures varve as users meet it, against other tools in the same run, and says which speed budgets are kept.
 * `npm run bench -- [--scenario NAME]… [--runs N] [--scale F] [--no-rivals] [--no-scaling] [--write]`
 * With --write, docs/bench/latest.json, its chart and docs/performance.md are made anew. Exits with 1 where a budget
 * is missed.
 */
import { cpus, loadavg, release, totalmem, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type ContestResult, holdContest } from "./contest.ts";
import { openPlace } from "./place.ts";
import { type Report, writeReport } from "./report.ts";
import { measureScaling } from "./scaling.ts";
import type { Scenario } from "./scenario.ts";
import { largeFileScenarios } from "./scenarios/large-file.ts";
import { newBaseScenarios } from "./scenarios/new-base.ts";
import { smallScenarios } from "./scenarios/small.ts";
import { stepScenarios } from "./scenarios/steps.ts";
import { treeScenarios } from "./scenarios/tree.ts";

const SCENARIOS: readonly Scenario[] = [
  ...treeScenarios,
  ...smallScenarios,
  ...stepScenarios,
  ...newBaseScenarios,
  ...largeFileScenarios,
];

const { values } = parseArgs({
  allowNegative: true,
  options: {
    scenario: { type: "string", multiple: true, default: [] },
    runs: { type: "string", default: "5" },
    scale: { type: "string", default: "1" },
    rivals: { type: "boolean", default: true },
    scaling: { type: "boolean", default: true },
    write: { type: "boolean", default: false },
    directory: { type: "string", default: join(tmpdir(), `varve-bench-${process.pid}`) },
  },
});

const chosen = SCENARIOS.filter(({ name }) => values.scenario.length === 0 || values.scenario.includes(name));
if (chosen.length === 0) throw new Error(`No such scenario; there are ${SCENARIOS.map(({ name }) => name).join(", ")}`);

const [load = 0] = loadavg();
const place = await openPlace(values.directory, { scale: Number(values.scale), rivals: values.rivals });
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void place.close().finally(() => process.exit(130)));
const results: Report["scenarios"][number][] = [];
try {
  for (const scenario of chosen) {
    const { name, title } = scenario;
    console.log(`\n${name}: ${title}`);
    const result = await holdContest(await scenario.contest(place), Number(values.runs));
    print(result);
    results.push({ name, title, ...result });
  }
  const report: Report = {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split("-")[0]}`,
    node: process.versions.node,
    load,
    runs: Number(values.runs),
    scale: Number(values.scale),
    scenarios: results,
    scaling: values.scaling ? await measureScaling(place) : [],
  };
  for (const { name, unit, points } of report.scaling)
    console.log(`${name}: ${points.map(({ size, each }) => `${size}: ${each.toFixed(2)} ${unit}`).join(", ")}`);
  if (values.write) writeReport(report);
} finally {
  await place.close();
}
const missed = results.flatMap(({ name, verdicts }) => verdicts.filter(({ kept }) => !kept).map(() => name));
console.log(missed.length === 0 ? "\nall budgets are kept" : `\nbudgets missed in ${[...new Set(missed)].join(", ")}`);
process.exitCode = missed.length === 0 ? 0 : 1;

function print({ figures, verdicts }: ContestResult): void {
  for (const { name, wall, walls, peak, counters } of figures) {
    const spread = `${Math.min(...walls).toFixed(0)} to ${Math.max(...walls).toFixed(0)}`;
    const told = Object.entries(counters).map(([counter, value]) => `, ${counter} ${value.toFixed(1)}`);
    const memory = peak === undefined ? "" : `${peak.toFixed(0)} MiB`;
    console.log(`  ${name.padEnd(20)} ${wall.toFixed(0).padStart(7)} ms (${spread})  ${memory}${told.join("")}`);
  }
  for (const { text, value, limit, kept } of verdicts)
    console.log(`  ${kept ? "kept  " : "MISSED"} ${text}: ${value.toFixed(2)} of at most ${limit}`);
}
