/**
 * What a cache server moves for a large tree: the first build, a second machine, one file of it changed, and a machine
 * that has the layer before. `node tools/bench-cache.ts [--files N] [--bytes N] [--compression gzip|zstd]` prints JSON.
 */
import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startCacheServer } from "./cache-server.ts";
import { largeTree, makeTree } from "./make-tree.ts";

interface Measured {
  readonly seconds: number;
  readonly sent: number;
  readonly received: number;
  /** Of the layer: bytes. */
  readonly layer: number;
}

const bin = join(import.meta.dirname, "..", "apps", "cli", "bin", "varve.js");

const { values } = parseArgs({
  options: {
    files: { type: "string", default: String(largeTree.files) },
    bytes: { type: "string", default: String(largeTree.bytes) },
    compression: { type: "string", default: "gzip" },
  },
});

async function main(): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "varve-bench-cache-"));
  const server = await startCacheServer({ data: join(root, "data") });
  try {
    const context = join(root, "context");
    makeTree(join(context, "tree"), { files: Number(values.files), bytes: Number(values.bytes), seed: largeTree.seed });
    writeFileSync(join(context, "Dockerfile"), "FROM scratch\nCOPY tree /tree\n");
    const build = (machine: string): Promise<Measured> => measure(machine, { root, context, url: server.url });
    const first = await build("one");
    const second = await build("two");
    appendFileSync(anyFile(join(context, "tree")), "// changed\n");
    const changed = await build("one");
    const third = await build("two");
    const share = {
      sent: changed.sent / changed.layer,
      received: third.received / third.layer,
    };
    process.stdout.write(`${JSON.stringify({ shape: values, first, second, changed, third, share }, undefined, 2)}\n`);
  } finally {
    await server.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

/** A file in the middle of the tree. */
function anyFile(directory: string): string {
  const entries = readdirSync(directory, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  const entry = entries[Math.floor(entries.length / 2)];
  if (entry === undefined) throw new Error(`no file in ${directory}`);
  return join(entry.parentPath, entry.name);
}

async function measure(
  machine: string,
  { root, context, url }: { readonly root: string; readonly context: string; readonly url: string },
): Promise<Measured> {
  const store = join(root, machine);
  mkdirSync(store, { recursive: true });
  const started = performance.now();
  const args = ["build", "--progress=json", "--compression", values.compression, "--cache", url, "--cache-upload=wait"];
  const child = spawn(process.execPath, [bin, ...args, "-t", "tree", context], {
    env: { ...process.env, VARVE_STORE: store },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
  await new Promise<void>((resolve) => child.once("close", () => resolve()));
  const seconds = Number(((performance.now() - started) / 1000).toFixed(2));
  const result = JSON.parse(text.trim().split("\n").at(-1) ?? "") as {
    readonly type: string;
    readonly cache: { readonly transfers: { readonly sent: number; readonly received: number } };
    readonly descriptor: { readonly digest: string };
  };
  if (result.type !== "result") throw new Error(text);
  const { sent, received } = result.cache.transfers;
  return { seconds, sent, received, layer: layerSize(store, result.descriptor.digest) };
}

function layerSize(store: string, digest: string): number {
  const manifest = JSON.parse(readFileSync(join(store, "blobs", "sha256", digest.slice("sha256:".length)), "utf8")) as {
    readonly layers: readonly { readonly size: number }[];
  };
  return manifest.layers.reduce((sum, { size }) => sum + size, 0);
}

await main();
