import { detectArchive, type Entry } from "@varve/layer";
import { readEntry } from "../tree-file.ts";

const HEAD = 1024;

/** The file behind `entry` where its first bytes are those of a tar archive, compressed or not; else undefined. */
export function detectLocalArchive(entry: Entry): Entry | undefined {
  if (entry.type !== "file") return undefined;
  return detectArchive(readEntry(entry, HEAD)) === undefined ? undefined : entry;
}
