import { type Dirent, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type LocalStore, openLocalStore } from "@varve/cache";
import type { Command } from "../command.ts";
import { formatTable } from "../format-table.ts";
import { formatBytes } from "../progress/progress.ts";
import { storePath } from "../store-path.ts";

/** `varve cache du`. */
export const cacheDuCommand: Command = {
  usage: "[OPTIONS]",
  description: "Says how much of the disk the store takes, and for what.",
  flags: [{ name: "store", value: "DIR", description: "The store to look at" }],
  examples: ["varve cache du"],
  async run(flags) {
    await using store = await openLocalStore(storePath(flags.value("store")));
    showSizes(store);
    return 0;
  },
};

const PARTS: readonly (readonly [name: string, purpose: string])[] = [
  ["blobs", "layers, manifests and configs, as an OCI layout"],
  ["layers", "extracted layers, for RUN and COPY --from"],
  ["index", "records of steps, digests of files"],
  ["cache-mounts", "files of RUN --mount=type=cache"],
  ["mounts", "root file systems of steps that run now"],
  ["tmp", "what is being written"],
];

function showSizes(store: LocalStore): void {
  const sizes = PARTS.map(([name, purpose]) => ({ name, purpose, bytes: sizeOf(join(store.path, name)) }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  process.stdout.write(
    formatTable([
      ["PART", "SIZE", ""],
      ...sizes.map(({ name, purpose, bytes }) => [name, formatBytes(bytes), purpose]),
      ["all", formatBytes(total), store.path],
    ]),
  );
}

/** Bytes on the disk of all below `path`, each file once however many names it has; 0 where there is nothing. */
function sizeOf(path: string, seen: Set<string> = new Set()): number {
  let sum = 0;
  for (const entry of entriesOf(path)) {
    const child = join(path, entry.name);
    const stat = lstatSync(child, { throwIfNoEntry: false });
    if (stat === undefined || seen.has(`${stat.dev}:${stat.ino}`)) continue;
    seen.add(`${stat.dev}:${stat.ino}`);
    sum += stat.blocks * 512 + (stat.isDirectory() ? sizeOf(child, seen) : 0);
  }
  return sum;
}

/** What a build removes meanwhile is not there. */
function entriesOf(path: string): readonly Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}
