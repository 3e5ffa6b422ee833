import type { Digest } from "@varve/oci";
import type { RecentRecords } from "./recent-records.ts";
import type { CacheKey, CacheRecord } from "./record.ts";

/** What the builds of this process use, kept for the next ones. */
export interface Recalls {
  /** See `LocalStore`. */
  recall(name: Digest): () => void;
  /** `record` is at hand from now on, and used by the builds that go on. */
  use(record: CacheRecord): void;
  /** To be called while the index is open, before records are read: others may replace them afterwards. */
  look(): void;
}

/** Recalls of records that are kept in `recent`; those at hand are in `known`. */
export function createRecalls(recent: RecentRecords, known: Map<CacheKey, CacheRecord>): Recalls {
  const builds = new Set<Map<CacheKey, CacheRecord>>();
  const generations = new Set<string>();
  const look = (): string => {
    const generation = recent.generation();
    generations.add(generation);
    return generation;
  };
  return {
    look,
    use(record) {
      known.set(record.key, record);
      for (const used of builds) used.set(record.key, record);
    },
    recall(name) {
      look();
      const before = recent.load(name);
      for (const record of before) if (!known.has(record.key)) known.set(record.key, record);
      const used = new Map<CacheKey, CacheRecord>();
      builds.add(used);
      return () => {
        builds.delete(used);
        const isSame = before.length === used.size && before.every((record) => used.get(record.key) === record);
        const generation = look();
        if (!isSame && generations.size === 1) recent.save(name, { generation, records: [...used.values()] });
      };
    },
  };
}
