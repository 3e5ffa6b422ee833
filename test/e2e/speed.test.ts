/** Speed changes no bytes, and what did not change is not done again. */
import { appendFileSync, closeSync, cpSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { makeTree } from "../../tools/make-tree.ts";
import { busyboxLayout } from "../../tools/base-images.ts";
import { addLayer } from "../../tools/add-layer.ts";
import { Archive, type ProgressLine, runVarve, Workspace } from "./varve.ts";

interface Finished extends ProgressLine {
  readonly segments?: { readonly total: number; readonly reused: number };
}

const DOCKERFILE = "FROM busybox\nCOPY . /app\n";

/** A context of 2,500 files of 24 MB, and its Dockerfile. */
function treeContext(workspace: Workspace): string {
  const context = workspace.context({ Dockerfile: DOCKERFILE });
  makeTree(context, { files: 2500, bytes: 24_000_000, seed: 5 });
  appendFileSync(join(context, "changing"), "one\n");
  return context;
}

async function layersOf(workspace: Workspace, args: readonly string[]): Promise<readonly string[]> {
  const file = workspace.file("image.tar");
  await workspace.build(["-o", `type=oci,dest=${file}`, ...args]);
  return new Archive(file).manifest().layers.map(({ digest }) => digest);
}

test.each(["gzip", "zstd"])("a layer made with reused segments is the one that is made afresh: %s", async (type) => {
  using workspace = new Workspace();
  const context = treeContext(workspace);
  const args = [`--compression=${type}`, context];
  const first = await layersOf(workspace, args);
  appendFileSync(join(context, "changing"), "two\n");
  const lines = (await workspace.events(args)) as readonly Finished[];
  const [segments] = lines.flatMap((line) => line.segments ?? []);
  expect(segments?.total).toBeGreaterThan(20);
  expect((segments?.total ?? 0) - (segments?.reused ?? 0)).toBeLessThanOrEqual(2);
  const changed = await layersOf(workspace, args);
  expect(changed).not.toEqual(first);
  rmSync(workspace.store, { recursive: true });
  expect(await layersOf(workspace, args)).toEqual(changed);
});

test("a blob that was damaged on disk is not taken over into the next one", async () => {
  using workspace = new Workspace();
  const context = treeContext(workspace);
  const [, first = ""] = await layersOf(workspace, [context]);
  appendFileSync(join(context, "changing"), "two\n");
  const path = join(workspace.store, "blobs/sha256", first.slice("sha256:".length));
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(4096, 7), 0, 4096, 3_000_000);
  closeSync(file);
  const changed = await layersOf(workspace, [context]);
  rmSync(workspace.store, { recursive: true });
  expect(await layersOf(workspace, [context])).toEqual(changed);
});

test("an unchanged context gives the same image, walked or not", async () => {
  using workspace = new Workspace();
  const context = treeContext(workspace);
  const images: string[] = [];
  for (let run = 0; run < 3; run += 1) {
    await setTimeout(50);
    images.push((await workspace.build(["-q", context])).stdout);
  }
  expect(new Set(images).size).toBe(1);
});

test("a new base makes only those COPY layers again whose destination looks different on it", async () => {
  using workspace = new Workspace();
  const base = workspace.file("base");
  cpSync(await busyboxLayout(), base, { recursive: true });
  const context = workspace.context({
    Dockerfile: "FROM base\nWORKDIR /app\nCOPY a /app/\nCOPY a /srv/data/\nCOPY --link a /linked/\n",
    a: "a\n",
  });
  const build = async (): Promise<readonly string[]> => {
    const args = ["build", "--progress=json", "--build-context", `base=oci-layout://${base}`, context];
    const { code, stderr } = await runVarve(args, { env: { VARVE_STORE: workspace.store } });
    expect(code, stderr).toBe(0);
    const lines = stderr.split("\n").filter((line) => line.startsWith("{"));
    const made = lines.map((line) => JSON.parse(line) as ProgressLine).filter(({ type }) => type === "step-finished");
    return made.flatMap(({ name = "" }) => (/COPY|WORKDIR/.test(name) ? [name.replace(/^\[[^\]]*\] /, "")] : []));
  };
  expect(await build()).toHaveLength(4);
  await addLayer(base, "var/elsewhere");
  expect(await build()).toEqual([]);
  await addLayer(base, "srv/data/there");
  expect(await build()).toEqual(["COPY a /srv/data/"]);
});
