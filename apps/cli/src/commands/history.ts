import { openLocalStore } from "@varve/cache";
import { encodeGoJson, type HistoryLine, imageHistory } from "@varve/executor";
import type { Command } from "../command.ts";
import { dockerSince, dockerSize, dockerTime, ellipsis, shortId } from "../docker-words.ts";
import type { Parsed } from "../flags.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG, takeWords } from "../image-flags.ts";
import { layerSizes } from "../places/layer-sizes.ts";
import { findImageFor } from "../places/open-place.ts";
import { writeRows } from "../rows.ts";
import { storePath } from "../store-path.ts";

/** Columns of CREATED BY where it is cut. */
const WIDTH = 45;

/** `varve history`. */
export const historyCommand: Command = {
  usage: "[OPTIONS] IMAGE",
  description: "Shows the history of an image, newest line first, as docker history does.",
  flags: [
    STORE_FLAG,
    PLATFORM_FLAG,
    { name: "quiet", short: "q", description: "Print only IDs" },
    { name: "no-trunc", description: "Cut nothing" },
    { name: "human", short: "H", description: "Sizes and times for people (default); --human=false: for programs" },
    { name: "format", value: "FORMAT", description: "table (default), json, a Go template, or table TEMPLATE" },
  ],
  examples: ["varve history app:1", "varve history --no-trunc --format '{{.CreatedBy}}' app:1"],
  async run(flags, signal) {
    const [text] = takeWords(flags, "history", ["IMAGE"]);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const found = await findImageFor(text, { store, signal, platform: platformOf(flags) });
    const lines = imageHistory(found.image, await layerSizes(found, { store, signal }));
    showHistory(lines, flags);
    return 0;
  },
};

function showHistory(lines: readonly HistoryLine[], flags: Parsed): void {
  const rows = lines.map((line) => describeLine(line, flags));
  if (flags.is("quiet")) process.stdout.write(rows.map(({ ID }) => `${ID}\n`).join(""));
  else
    writeRows(rows, {
      format: flags.value("format") ?? "table",
      columns: {
        ID: "IMAGE",
        ...(isHuman(flags) ? { CreatedSince: "CREATED" } : { CreatedAt: "CREATED AT" }),
        CreatedBy: "CREATED BY",
        Size: "SIZE",
        Comment: "COMMENT",
      },
      encode: encodeGoJson,
    });
}

function isHuman(flags: Parsed): boolean {
  return flags.value("human") !== "false";
}

function describeLine(line: HistoryLine, flags: Parsed): Readonly<Record<string, string>> {
  const full = flags.is("no-trunc");
  const createdBy = line.createdBy.replaceAll("\t", " ");
  const id = line.id ?? "<missing>";
  return {
    Comment: line.comment,
    CreatedAt: dockerTime(line.created),
    CreatedBy: full ? createdBy : ellipsis(createdBy, WIDTH),
    CreatedSince: isHuman(flags) ? dockerSince(line.created, Date.now()) : dockerTime(line.created),
    ID: full || line.id === undefined ? id : shortId(id),
    Size: isHuman(flags) ? dockerSize(line.size) : String(line.size),
  };
}
