/** Writes what a benchmark found: docs/bench/latest.json, a chart, and docs/performance.md. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawChart } from "./chart.ts";
import type { ContestResult, Figure } from "./contest.ts";
import type { Scaling } from "./scaling.ts";

/** One call of the benchmark. */
export interface Report {
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  /** Load average over a minute when it began: what else the machine was doing. */
  readonly load: number;
  /** Of each contestant; figures are their medians. */
  readonly runs: number;
  readonly scale: number;
  readonly scenarios: readonly (ContestResult & { readonly name: string; readonly title: string })[];
  readonly scaling: readonly Scaling[];
}

const DOCS = join(import.meta.dirname, "..", "..", "docs");

/** Replaces the three files. */
export function writeReport(report: Report): void {
  mkdirSync(join(DOCS, "bench"), { recursive: true });
  writeFileSync(join(DOCS, "bench", "latest.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(DOCS, "bench", "latest.svg"), drawChart(report));
  writeFileSync(join(DOCS, "performance.md"), describe(report));
}

function describe(report: Report): string {
  const { date, machine, node, load, runs, scale } = report;
  const size = scale === 1 ? "" : ` Sizes are ${scale} of the full ones.`;
  return [
    "# Performance",
    "",
    "`npm run bench` builds what users build, whole processes from start to end, in turn with other tools on the same machine. What counts are the ratios within a run; absolute times are those of one small machine.",
    "",
    `Measured on ${date} on ${machine}, Node ${node}: medians of ${runs} runs, at a load average of ${load.toFixed(1)}: the more of it is others' work, the less the misses below mean.${size} The numbers are in [bench/latest.json](bench/latest.json).`,
    "",
    "![Times of varve and other tools](bench/latest.svg)",
    "",
    "## Budgets",
    "",
    "| work | measure | found | at most | |",
    "| --- | --- | --- | --- | --- |",
    ...report.scenarios.flatMap(({ title, verdicts }) =>
      verdicts.map(
        ({ text, value, limit, kept }) =>
          `| ${title} | ${cell(text)} | ${round(value)} | ${round(limit)} | ${kept ? "kept" : "**missed**"} |`,
      ),
    ),
    "",
    "## Times and memory",
    "",
    "| work | tool | time | peak memory |",
    "| --- | --- | --- | --- |",
    ...report.scenarios.flatMap(({ title, figures }) =>
      figures.map((figure) => `| ${title} | ${cell(figure.name)} | ${formatTime(figure)} | ${formatPeak(figure)} |`),
    ),
    "",
    "Peak memory is that of the largest process; BuildKit's is only its client's, for the daemon works elsewhere.",
    "",
    ...describeScaling(report.scaling),
  ].join("\n");
}

function describeScaling(scaling: readonly Scaling[]): readonly string[] {
  if (scaling.length === 0) return [];
  const sizes = [...new Set(scaling.flatMap(({ points }) => points.map(({ size }) => size)))];
  return [
    "## Scaling",
    "",
    "Microseconds for each of so many, in one process: flat or falling is linear or better.",
    "",
    `| | ${sizes.map((size) => size.toLocaleString("en")).join(" | ")} |`,
    `| --- |${" --- |".repeat(sizes.length)}`,
    ...scaling.map(({ name, points }) => {
      const cells = sizes.map((size) => points.find((point) => point.size === size)?.each);
      return `| ${name} | ${cells.map((each) => (each === undefined ? "" : round(each))).join(" | ")} |`;
    }),
    "",
  ];
}

/** A bar ends a cell. */
function cell(text: string): string {
  return text.replaceAll("|", String.raw`\|`);
}

function formatTime({ wall }: Figure): string {
  return wall < 1000 ? `${wall.toFixed(0)} ms` : `${(wall / 1000).toFixed(2)} s`;
}

function formatPeak({ peak }: Figure): string {
  return peak === undefined ? "" : `${peak.toFixed(0)} MiB`;
}

function round(value: number): string {
  return String(Number(value.toPrecision(3)));
}
