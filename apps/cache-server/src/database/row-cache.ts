/** Characters of keys and values that are held; two bytes each at most. */
const CAPACITY = 16 * 1024 * 1024;

/** Rows read lately, the absent ones too, so that what is hot costs no look into the database. */
export interface RowCache {
  get(key: string): string | undefined;
  /** Takes over what was written. */
  update(rows: ReadonlyMap<string, string | undefined>): void;
}

/** A cache of what `read` gives, least recently used rows leaving first. */
export function createRowCache(read: (key: string) => string | undefined): RowCache {
  const rows = new Map<string, string | undefined>();
  let held = 0;
  const forget = (key: string): void => {
    if (!rows.has(key)) return;
    held -= key.length + (rows.get(key)?.length ?? 0);
    rows.delete(key);
  };
  const remember = (key: string, value: string | undefined): void => {
    rows.set(key, value);
    held += key.length + (value?.length ?? 0);
    for (const oldest of rows.keys()) {
      if (held <= CAPACITY) break;
      forget(oldest);
    }
  };
  return {
    get(key) {
      const known = rows.get(key);
      const value = known === undefined && !rows.has(key) ? read(key) : known;
      forget(key);
      remember(key, value);
      return value;
    },
    update(changed) {
      for (const key of changed.keys()) forget(key);
    },
  };
}
