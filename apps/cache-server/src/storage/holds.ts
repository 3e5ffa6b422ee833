import type { Digest } from "@varve/oci";

/** Blobs that must not be evicted now: someone reads them, or is about to name them in a record. */
export interface Holds {
  /** Holds a blob until the function is called. */
  hold(digest: Digest): () => void;
  /** Holds a blob for `ms`. */
  holdFor(digest: Digest, ms: number): void;
  isHeld(digest: Digest): boolean;
}

/** Timed holds that may be there before those that are over are looked for. */
const SWEEP_AT = 100_000;

/** Holds of nothing. */
export function createHolds(): Holds {
  const readers = new Map<Digest, number>();
  const until = new Map<Digest, number>();
  return {
    hold(digest) {
      readers.set(digest, (readers.get(digest) ?? 0) + 1);
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        const left = (readers.get(digest) ?? 1) - 1;
        if (left === 0) readers.delete(digest);
        else readers.set(digest, left);
      };
    },
    holdFor(digest, ms) {
      const now = performance.now();
      if (until.size >= SWEEP_AT) for (const [each, time] of until) if (time < now) until.delete(each);
      until.set(digest, Math.max(until.get(digest) ?? 0, now + ms));
    },
    isHeld: (digest) => readers.has(digest) || (until.get(digest) ?? 0) > performance.now(),
  };
}
