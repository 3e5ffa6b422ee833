/**
 * Prints what a RUN costs beyond its command: preparing a snapshot, starting and ending the process, the diff, the
 * commit and the disposal, in milliseconds, for each runner that works here.
 * `node tools/bench-run.ts [--runs N] [--layers N]`
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { stackTrees } from "@varve/layer";
import { probeRunners, selectRunner, selectSnapshotter } from "@varve/executor";
import { plainCommand, type Runner } from "../packages/executor/src/runner.ts";
import type { Snapshotter } from "../packages/executor/src/snapshotter.ts";

const PHASES = ["prepare", "run", "diff", "commit", "dispose"] as const;
const COMMAND = plainCommand(["/bin/sh", "-c", "echo 1 >/file"], ["PATH=/bin"]);

interface Bench {
  readonly runner: Runner;
  readonly snapshotter: Snapshotter;
  readonly directory: string;
  readonly layers: readonly string[];
}

async function runOnce({ runner, snapshotter, directory, layers }: Bench, number: number): Promise<readonly number[]> {
  const [own, scratch] = [join(directory, `snapshot-${number}`), join(directory, `scratch-${number}`)];
  for (const each of [own, scratch]) mkdirSync(each);
  const times = [performance.now()];
  const lap = (): unknown => times.push(performance.now());
  const snapshot = await snapshotter.prepare({ layers, tree: stackTrees([]) }, own);
  lap();
  const { signal } = new AbortController();
  const { exitCode } = await runner.run(COMMAND, { rootfs: snapshot.rootfs, scratch, signal, onOutput: () => {} });
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}`);
  lap();
  await snapshot.diff();
  lap();
  await snapshot.commit(join(directory, `layer-${number}`));
  lap();
  await snapshot[Symbol.asyncDispose]();
  lap();
  return PHASES.map((_, position) => (times[position + 1] ?? 0) - (times[position] ?? 0));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function makeLayers(directory: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, number) => {
    const layer = join(directory, `base-${number}`);
    mkdirSync(join(layer, "bin"), { recursive: true });
    writeFileSync(join(layer, `of-${number}`), "");
    if (number > 0) return layer;
    copyFileSync("/bin/busybox", join(layer, "bin", "busybox"));
    symlinkSync("busybox", join(layer, "bin", "sh"));
    return layer;
  });
}

const { values } = parseArgs({
  options: { runs: { type: "string", default: "100" }, layers: { type: "string", default: "10" } },
});
const directory = mkdtempSync(join(tmpdir(), "varve-bench-"));
try {
  const layers = makeLayers(directory, Number(values.layers));
  const probe = join(directory, "probe");
  mkdirSync(probe);
  const snapshotter = await selectSnapshotter("auto", probe);
  console.log(`${snapshotter.name}, ${values.layers} layers, ${values.runs} runs; medians in ms`);
  for (const { name, problem } of await probeRunners()) {
    if (problem !== undefined) {
      console.log(`${name.padEnd(8)} does not work here: ${problem}`);
      continue;
    }
    const own = join(directory, name);
    mkdirSync(own);
    const bench: Bench = { runner: await selectRunner(name), snapshotter, directory: own, layers };
    const runs: (readonly number[])[] = [];
    for (let number = 0; number < Number(values.runs); number += 1) runs.push(await runOnce(bench, number));
    await bench.runner.close?.();
    const phases = PHASES.map(
      (phase, position) => `${phase} ${median(runs.map((run) => run[position] ?? 0)).toFixed(1)}`,
    );
    const all = median(runs.map((run) => run.reduce((sum, each) => sum + each, 0))).toFixed(1);
    console.log(`${name.padEnd(8)} ${all} = ${phases.join(", ")}`);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
