import type { Memo } from "@varve/cache";
import { type Digest, digestOf, hexOf, isDigest } from "@varve/oci";
import type { ContextSource, SeenPath } from "./context-tree.ts";
import { encodeSeen, SeenTable } from "./seen-table.ts";

/** What is remembered of a selection. */
export type RecalledSelection =
  /** All that was looked at for it is as it was. */
  | { readonly digest: Digest }
  /** Something differs. */
  | { readonly past: SeenTable };

/** A selection's digest, for as long as nothing changes that it was made from, and what was seen for it. */
export interface SelectionMemo {
  /** Undefined where nothing is remembered. */
  recall(): Promise<RecalledSelection | undefined>;
  /** What was seen for it the last time, without a look at what it is by now. */
  past(): Promise<SeenTable | undefined>;
  /** What was seen in the same context for other selections, the newest first. */
  others(): AsyncIterable<SeenTable>;
  /** Remembers the digest of what was `seen`, with those of files, in a walk that began at `started`. */
  remember(digest: Digest, seen: () => Iterable<SeenPath>, started: bigint): Promise<void>;
}

const NAMESPACE = "selection/2";
/** For each context the keys of its selections. */
const CONTEXTS = "context-selections/1";
const MOST_SELECTIONS = 32;
/** The selection's digest, which stands before what was seen; zeros where that may be other files by now. */
const DIGEST_BYTES = 32;

/** The memo of the selection that `words` name in a context; the context's ignore patterns are part of them. */
export function createSelectionMemo(memo: Memo, source: ContextSource, words: readonly string[]): SelectionMemo {
  const patterns = source.ignore?.patterns.map(({ text }) => text);
  const key = digestOf(Buffer.from(JSON.stringify([source.path, patterns, words])));
  const context = digestOf(Buffer.from(source.path));
  return {
    async recall() {
      const stored = await load(memo, key);
      if (stored === undefined) return undefined;
      const { digest, past } = stored;
      return past.verify(source.path) && digest !== undefined ? { digest } : { past };
    },
    past: async () => (await load(memo, key))?.past,
    async *others() {
      for (const other of await loadKeys(memo, context)) {
        const stored = other === key ? undefined : await load(memo, other);
        if (stored !== undefined) yield stored.past;
      }
    },
    async remember(digest, seen, started) {
      const { value, isSettled } = encodeSeen(seen, started, DIGEST_BYTES);
      if (isSettled) value.write(hexOf(digest), "hex");
      await memo.put(NAMESPACE, key, value);
      const keys = await loadKeys(memo, context);
      if (keys.includes(key)) return;
      const all = [key, ...keys].slice(0, MOST_SELECTIONS);
      await memo.put(CONTEXTS, context, Buffer.from(JSON.stringify(all)));
    },
  };
}

interface StoredSelection {
  readonly digest: Digest | undefined;
  readonly past: SeenTable;
}

async function load(memo: Memo, key: Digest): Promise<StoredSelection | undefined> {
  const value = await memo.get(NAMESPACE, key);
  const past = value === undefined ? undefined : SeenTable.decode(value.subarray(DIGEST_BYTES));
  if (value === undefined || past === undefined) return undefined;
  const head = Buffer.from(value.subarray(0, DIGEST_BYTES));
  return { digest: head.every((byte) => byte === 0) ? undefined : `sha256:${head.toString("hex")}`, past };
}

async function loadKeys(memo: Memo, context: Digest): Promise<readonly Digest[]> {
  try {
    const value = await memo.get(CONTEXTS, context);
    const keys: unknown = value === undefined ? [] : JSON.parse(Buffer.from(value).toString());
    return Array.isArray(keys) ? keys.filter((each): each is Digest => typeof each === "string" && isDigest(each)) : [];
  } catch {
    return [];
  }
}
