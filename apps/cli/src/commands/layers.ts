import { openLocalStore } from "@varve/cache";
import { type LayerUsage, layerUsage, readLayerIndexes } from "@varve/executor";
import type { LayerIndex } from "@varve/layer";
import type { Image } from "@varve/oci";
import type { Command } from "../command.ts";
import { dockerSize, ellipsis, shortId } from "../docker-words.ts";
import { formatEntry } from "../format-entry.ts";
import { formatTable } from "../format-table.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG, takeWords } from "../image-flags.ts";
import { findImageFor } from "../places/open-place.ts";
import { storePath } from "../store-path.ts";
import { UsageError } from "../errors.ts";

const WIDTH = 50;

/** `varve layers`. */
export const layersCommand: Command = {
  usage: "[OPTIONS] IMAGE",
  description:
    "Shows the layers of an image, oldest first: entries, bytes as they are stored, bytes of the files in them, and bytes wasted on files that newer layers replace or remove.",
  flags: [
    STORE_FLAG,
    PLATFORM_FLAG,
    { name: "files", value: "NUMBER", description: "List the entries of this layer, counted from 1; or all" },
    { name: "no-trunc", description: "Cut nothing" },
    { name: "json", description: "As JSON, one object a layer" },
  ],
  examples: ["varve layers app:1", "varve layers --files 3 app:1"],
  async run(flags, signal) {
    const [text] = takeWords(flags, "layers", ["IMAGE"]);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const { image } = await findImageFor(text, { store, signal, platform: platformOf(flags) });
    const indexes = await readLayerIndexes(image, { store, signal });
    const files = flags.value("files");
    if (files !== undefined) listFiles(choose(indexes, files));
    else if (flags.is("json")) process.stdout.write(`${JSON.stringify(describe(image, indexes), undefined, 2)}\n`);
    else showTable(image, layerUsage(indexes), flags.is("no-trunc"));
    return 0;
  },
};

function choose(indexes: readonly LayerIndex[], files: string): readonly LayerIndex[] {
  if (files === "all") return indexes;
  const index = indexes[Number(files) - 1];
  if (index === undefined) throw new UsageError(`Cannot use --files "${files}": wanted 1 to ${indexes.length}, or all`);
  return [index];
}

function listFiles(indexes: readonly LayerIndex[]): void {
  for (const { entries } of indexes) process.stdout.write(entries.map((entry) => `${formatEntry(entry)}\n`).join(""));
}

/** The history line of each layer; empty where the history does not fit the layers. */
function instructions({ config, layers }: Image): readonly string[] {
  const lines = (config.history ?? []).filter(({ empty_layer }) => empty_layer !== true);
  return lines.length === layers.length ? lines.map(({ created_by }) => created_by ?? "") : [];
}

function describe(image: Image, indexes: readonly LayerIndex[]): readonly unknown[] {
  const lines = instructions(image);
  return layerUsage(indexes).map((usage, position) => ({
    layer: position + 1,
    digest: image.layers[position]?.descriptor.digest,
    diffId: image.layers[position]?.diffId,
    mediaType: image.layers[position]?.descriptor.mediaType,
    entries: usage.entries,
    storedSize: image.layers[position]?.descriptor.size,
    size: usage.size,
    wasted: usage.wasted,
    createdBy: lines[position] ?? "",
  }));
}

function showTable(image: Image, usage: readonly LayerUsage[], full: boolean): void {
  const lines = instructions(image);
  const stored = image.layers.map(({ descriptor }) => descriptor.size);
  const rows = usage.map(({ entries, size, wasted }, position) => {
    const digest = image.layers[position]?.descriptor.digest ?? "";
    const line = (lines[position] ?? "").replaceAll(/\s+/g, " ");
    return [
      String(position + 1),
      full ? digest : shortId(digest),
      String(entries),
      dockerSize(stored[position] ?? 0),
      dockerSize(size),
      dockerSize(wasted),
      full ? line : ellipsis(line, WIDTH),
    ];
  });
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const all = [
    "all",
    "",
    String(sum(usage.map(({ entries }) => entries))),
    dockerSize(sum(stored)),
    dockerSize(sum(usage.map(({ size }) => size))),
    dockerSize(sum(usage.map(({ wasted }) => wasted))),
  ];
  process.stdout.write(
    formatTable([["LAYER", "DIGEST", "ENTRIES", "STORED", "SIZE", "WASTED", "CREATED BY"], ...rows, all]),
  );
}
