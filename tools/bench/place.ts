/** Where a benchmark's files are, and what all scenarios share. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { busyboxLayout } from "../base-images.ts";
import { largeTree, makeTree } from "../make-tree.ts";
import { type RunningRegistry, startRegistry } from "../registry.ts";
import type { Contestant } from "./contest.ts";
import { openRivals, type Rivals } from "./rivals.ts";

const CLI = join(import.meta.dirname, "..", "..", "apps", "cli", "bin", "varve.js");

/** A directory for one call of the benchmark. */
export interface Place {
  readonly path: string;
  /** 1 for the sizes of the budgets; less for a quick look. */
  readonly scale: number;
  readonly rivals: Rivals;
  /** The path of `name` below the directory, its parents made. */
  file(name: string): string;
  /** Writes a file below the directory and gives its path. */
  write(name: string, text: string): string;
  /** The large tree, made once. */
  tree(): string;
  registry(): Promise<RunningRegistry>;
  /** varve with these arguments and a store of this name. */
  varve(args: readonly string[], store: string): Pick<Contestant, "command" | "env">;
  /** Removes a store, so that the next build is a first one. */
  forget(store: string): void;
  close(): Promise<void>;
}

/** Opens a place at `path`, which is emptied. `rivals`: whether other builders take part. */
export async function openPlace(
  path: string,
  options: { readonly scale: number; readonly rivals: boolean },
): Promise<Place> {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  execFileSync(process.execPath, [join(import.meta.dirname, "..", "bundle.ts")], { stdio: "inherit" });
  const base = await busyboxLayout();
  const rivals = await openRivals(join(path, "rivals"), { base, enabled: options.rivals });
  let registry: Promise<RunningRegistry> | undefined;
  const file = (name: string): string => {
    const target = join(path, name);
    mkdirSync(dirname(target), { recursive: true });
    return target;
  };
  return {
    path,
    scale: options.scale,
    rivals,
    file,
    write(name, text) {
      writeFileSync(file(name), text);
      return file(name);
    },
    tree() {
      const directory = file("tree");
      const { files, bytes, seed } = largeTree;
      const shape = { files: Math.ceil(files * options.scale), bytes: Math.ceil(bytes * options.scale), seed };
      if (!existsSync(directory)) makeTree(directory, shape);
      return directory;
    },
    registry: () => (registry ??= startRegistry()),
    varve: (args, store) => ({
      command: [process.execPath, CLI, "build", "--build-context", `busybox=oci-layout://${base}`, ...args],
      env: { VARVE_STORE: join(path, "stores", store), VARVE_BUNDLE: "1" },
    }),
    forget: (store) => rmSync(join(path, "stores", store), { recursive: true, force: true }),
    async close() {
      await (await registry)?.stop();
      await rivals.close();
      rmSync(path, { recursive: true, force: true });
    },
  };
}
