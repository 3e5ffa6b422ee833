import { openLocalStore } from "@varve/cache";
import { probeRunners, selectSnapshotter } from "@varve/executor";
import { authFiles } from "@varve/registry";
import { existsSync } from "node:fs";
import { type Flag, parseFlags } from "../flags.ts";
import { exitCodeOf, formatError } from "../print-error.ts";
import { storePath } from "../store-path.ts";

const FLAGS: readonly Flag[] = [{ name: "store", value: "DIR", description: "The store to look at" }];

/** `varve doctor`: 0 where builds with RUN work here, 1 where they do not. */
export async function runDoctor(argv: readonly string[]): Promise<number> {
  try {
    const flags = parseFlags(argv, FLAGS);
    const path = storePath(flags.value("store"));
    const runners = await probeRunners();
    const lines = [
      `node         ${process.version}`,
      `user         ${process.getuid?.() === 0 ? "root" : `uid ${process.getuid?.()}`}`,
      `store        ${path}`,
      `snapshotter  ${await snapshotterName(path)}`,
      ...runners.map(
        ({ name, problem }) => `runner       ${name}: ${problem === undefined ? "works" : `does not work: ${problem}`}`,
      ),
      ...authFiles().map((file) => `credentials  ${file}: ${existsSync(file) ? "present" : "absent"}`),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    return runners.some(({ problem }) => problem === undefined) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${formatError(error, undefined)}\n`);
    return exitCodeOf(error);
  }
}

async function snapshotterName(path: string): Promise<string> {
  await using store = await openLocalStore(path);
  const snapshotter = await selectSnapshotter("auto", await store.makeTemporaryDirectory("mounts"));
  return snapshotter.name === "overlay"
    ? `overlay (${snapshotter.whiteouts}.overlay xattrs)`
    : "copy: overlayfs can't be mounted here";
}
