import { join } from "node:path";
import { diskUsage, type LocalStore, openLocalStore } from "@varve/cache";
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
  ["memo", "larger values, such as digests of files"],
  ["cache-mounts", "files of RUN --mount=type=cache"],
  ["mounts", "root file systems of steps that run now"],
  ["mounted", "images of varve mount"],
  ["tmp", "what is being written"],
];

function showSizes(store: LocalStore): void {
  const sizes = PARTS.map(([name, purpose]) => ({ name, purpose, bytes: diskUsage(join(store.path, name)) }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  process.stdout.write(
    formatTable([
      ["PART", "SIZE", ""],
      ...sizes.map(({ name, purpose, bytes }) => [name, formatBytes(bytes), purpose]),
      ["all", formatBytes(total), store.path],
    ]),
  );
}
