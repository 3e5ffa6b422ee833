import { readdirSync } from "node:fs";
import type { Memo } from "@varve/cache";
import { type Digest, digestOf, hexOf, isDigest, sha256 } from "@varve/oci";
import type { ContextSource, SeenPath } from "./context-tree.ts";
import { isSettled, readStamp, StampColumn } from "./file-stamp.ts";
import { decodeTable, encodeTable, type PackedTable } from "./packed-table.ts";

/** A selection's digest, for as long as nothing changes that it was made from. */
export interface SelectionMemo {
  /** The digest that was remembered, where all that was looked at for it is as it was; undefined otherwise. */
  recall(): Promise<Digest | undefined>;
  /** Remembers the digest of what was `seen`, in a walk that began at `started`. */
  remember(digest: Digest, seen: Iterable<SeenPath>, started: bigint): Promise<void>;
}

const NAMESPACE = "selection/1";
/** The selection's digest, which stands before the table. */
const DIGEST_BYTES = 32;
/** A hash of the names of a directory; zeros for what was not listed. */
const NAMES_BYTES = 16;
const unlisted = Buffer.alloc(NAMES_BYTES);

/** The memo of the selection that `words` name in a context; the context's ignore patterns are part of them. */
export function createSelectionMemo(memo: Memo, source: ContextSource, words: readonly string[]): SelectionMemo {
  const patterns = source.ignore?.patterns.map(({ text }) => text);
  const key = digestOf(Buffer.from(JSON.stringify([source.path, patterns, words])));
  return {
    async recall() {
      const value = await memo.get(NAMESPACE, key);
      if (value === undefined || value.length < DIGEST_BYTES) return undefined;
      const digest = `sha256:${Buffer.from(value.subarray(0, DIGEST_BYTES)).toString("hex")}`;
      const table = decodeTable(value.subarray(DIGEST_BYTES));
      return table !== undefined && isDigest(digest) && isUnchanged(table, source) ? digest : undefined;
    },
    async remember(digest, seen, started) {
      const all = [...seen];
      if (!all.every(({ stamp }) => stamp === undefined || isSettled(stamp, started))) return;
      const rows = Buffer.alloc(NAMES_BYTES * all.length);
      for (const [position, { names }] of all.entries())
        if (names !== undefined) rows.set(hashNames(names), NAMES_BYTES * position);
      const paths = all.map(({ path }) => path);
      const stamps = StampColumn.from(all.map(({ stamp }) => stamp));
      const value = encodeTable({ paths, stamps, rows }, DIGEST_BYTES);
      value.write(hexOf(digest), "hex");
      await memo.put(NAMESPACE, key, value);
    },
  };
}

function hashNames(names: readonly string[] | undefined): Buffer {
  return names === undefined ? unlisted : sha256(Buffer.from(names.join("\0"))).subarray(0, NAMES_BYTES);
}

/** Looks at all of it again: nothing but lstat and readdir. */
function isUnchanged({ paths, stamps, rows }: PackedTable, { path: root }: ContextSource): boolean {
  for (const [position, path] of paths.entries()) {
    const file = path === "" ? root : `${root}/${path}`;
    if (!stamps.matches(position, readStamp(file))) return false;
    const names = rows.subarray(NAMES_BYTES * position, NAMES_BYTES * (position + 1));
    if (!names.equals(unlisted) && !names.equals(hashNames(readNames(file)))) return false;
  }
  return rows.length === paths.length * NAMES_BYTES;
}

function readNames(directory: string): readonly string[] | undefined {
  try {
    return readdirSync(directory).toSorted();
  } catch {
    return undefined;
  }
}
