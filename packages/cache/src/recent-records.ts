import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, hexOf } from "@varve/oci";
import type { CacheRecord } from "./record.ts";
import { replaceFile } from "./replace-file.ts";
import { touch } from "./touch.ts";

/** Records that builds used last, in files: what they find there they need no LevelDB for. */
export interface RecentRecords {
  /** What tells whether records were replaced: as long as it stays, none was. */
  generation(): string;
  /** Makes all that was kept before count for nothing. To be called before a record is replaced. */
  outdate(): void;
  /** The records kept under `name`; none where a record was replaced since. */
  load(name: Digest): readonly CacheRecord[];
  /** Keeps `records`, which were read while `generation` was this, under `name`. */
  save(name: Digest, kept: { readonly generation: string; readonly records: readonly CacheRecord[] }): void;
}

/** More is read no faster than it is looked up. Letters. */
const LARGEST = 1024 * 1024;

/**
 * Those of the store at `root`: `memo/recent-1/HEX`, JSON, of a `generation` and its `records`. The generation is what
 * the file `index.replaced` holds.
 */
export function createRecentRecords(root: string): RecentRecords {
  const mark = join(root, "index.replaced");
  const fileOf = (name: Digest): string => join(root, "memo", "recent-1", hexOf(name));
  const generation = (): string => readOrEmpty(mark);
  return {
    generation,
    outdate: () => writeFileSync(mark, `${Date.now()}-${process.pid}-${Math.random()}`),
    load(name) {
      const file = fileOf(name);
      const text = readOrEmpty(file);
      if (text === "") return [];
      touch(file);
      const kept = parse(text);
      return kept?.generation === generation() ? kept.records : [];
    },
    save(name, kept) {
      const text = JSON.stringify(kept);
      if (text.length > LARGEST) return;
      try {
        replaceFile(fileOf(name), Buffer.from(text));
      } catch {
        // The next build looks them up.
      }
    },
  };
}

function parse(text: string): { readonly generation: string; readonly records: readonly CacheRecord[] } | undefined {
  try {
    return JSON.parse(text) as ReturnType<typeof parse>;
  } catch {
    return undefined;
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
