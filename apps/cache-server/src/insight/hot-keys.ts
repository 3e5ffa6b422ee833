import type { CacheKey, Lane, SignedRecord } from "@varve/cache";
import type { FoundRecord } from "../storage/records.ts";

/** A record that is asked for often. */
export interface HotKey {
  readonly key: CacheKey;
  readonly hits: number;
  /** What its ingredients tell of the instruction. */
  readonly name: string;
  readonly lane: Lane;
  /** Milliseconds that its step took. */
  readonly duration: number;
  /** Of its layer. */
  readonly bytes: number;
  /** RFC 3339. */
  readonly lastHitAt: string;
}

/** Which records are asked for most since the server's start. */
export interface HotKeys {
  hit(key: CacheKey, found: FoundRecord): void;
  /** The first `limit`, the most asked for first; those whose lane `isVisible`. */
  list(limit: number, isVisible: (lane: Lane) => boolean): readonly HotKey[];
}

interface Counted {
  hits: number;
  lastHitAt: number;
  found: FoundRecord;
}

/** Keys that are counted at a time; when there are more, the colder half is forgotten. */
const CAPACITY = 2000;
/** Characters. */
const MAX_NAME = 200;

/** Nothing was asked for yet. */
export function createHotKeys(): HotKeys {
  const counted = new Map<CacheKey, Counted>();
  return {
    hit(key, found) {
      const known = counted.get(key);
      if (known === undefined) {
        if (counted.size >= CAPACITY) forgetColdHalf(counted);
        counted.set(key, { hits: 1, lastHitAt: Date.now(), found });
      } else {
        known.hits += 1;
        known.lastHitAt = Date.now();
        known.found = found;
      }
    },
    list: (limit, isVisible) =>
      [...counted]
        .filter(([, { found }]) => isVisible(found.lane))
        .toSorted(([, a], [, b]) => b.hits - a.hits)
        .slice(0, limit)
        .map(describe),
  };
}

function forgetColdHalf(counted: Map<CacheKey, Counted>): void {
  const cold = [...counted].toSorted(([, a], [, b]) => a.hits - b.hits).slice(0, CAPACITY / 2);
  for (const [key] of cold) counted.delete(key);
}

function describe([key, { hits, lastHitAt, found }]: readonly [CacheKey, Counted]): HotKey {
  const { record, lane } = JSON.parse(found.json) as SignedRecord;
  return {
    key,
    hits,
    name: nameStep(record.ingredients),
    lane,
    duration: record.duration,
    bytes: record.layer?.descriptor.size ?? 0,
    lastHitAt: new Date(lastHitAt).toISOString(),
  };
}

/** The instruction, as far as the ingredients tell it: its kind and its words. */
function nameStep(ingredients: Readonly<Record<string, string>>): string {
  const kind = ingredients["definition.instruction"] ?? (ingredients["definition.kind"] ?? "step").toUpperCase();
  const words = ["args", "sources", "destination", "path"].flatMap((name) => {
    const text = ingredients[`definition.${name}`];
    return text === undefined ? [] : text.replaceAll(/[[\]"]/g, "").replace(/^\/bin\/sh,-c,/, "");
  });
  return [kind, ...words].join(" ").slice(0, MAX_NAME);
}
