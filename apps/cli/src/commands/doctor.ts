import { openLocalStore } from "@varve/cache";
import { probeRunners, selectSnapshotter } from "@varve/executor";
import { authFiles } from "@varve/registry";
import { existsSync } from "node:fs";
import type { Command } from "../command.ts";
import { storePath } from "../store-path.ts";

/** `varve doctor`: 0 where builds with RUN work here, 1 where they do not. */
export const doctorCommand: Command = {
  usage: "[OPTIONS]",
  description: "Says what works on this machine, and why the rest does not. Exit code 1: RUN can't work here.",
  flags: [{ name: "store", value: "DIR", description: "The store to look at" }],
  examples: ["varve doctor"],
  async run(flags) {
    const path = storePath(flags.value("store"));
    const runners = await probeRunners();
    const lines = [
      `node         ${process.version}`,
      `user         ${process.getuid?.() === 0 ? "root" : `uid ${process.getuid?.()}`}`,
      `store        ${path}`,
      `snapshotter  ${await snapshotterName(path)}`,
      ...runners.map(
        ({ name, problem, hint }) =>
          `runner       ${name}: ${problem === undefined ? "works" : `does not work: ${problem}; ${hint}`}`,
      ),
      ...authFiles().map((file) => `credentials  ${file}: ${existsSync(file) ? "present" : "absent"}`),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    return runners.some(({ problem }) => problem === undefined) ? 0 : 1;
  },
};

async function snapshotterName(path: string): Promise<string> {
  await using store = await openLocalStore(path);
  const snapshotter = await selectSnapshotter("auto", await store.makeTemporaryDirectory("mounts"));
  return snapshotter.name === "overlay"
    ? `overlay (${snapshotter.whiteouts}.overlay xattrs)`
    : "copy: overlayfs can't be mounted here";
}
