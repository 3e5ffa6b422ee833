/** Lets each caller come so often, with a reserve for bursts. */
export interface RateLimit {
  /** Milliseconds after which the caller may come again; 0 where he may now, which is counted. */
  take(caller: string): number;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

const MAX_CALLERS = 100_000;

/** `rate` in requests a second; `burst`: how many may come at once. A rate of 0 limits nobody. */
export function createRateLimit({ rate, burst }: { readonly rate: number; readonly burst: number }): RateLimit {
  const buckets = new Map<string, Bucket>();
  return {
    take(caller) {
      if (rate === 0) return 0;
      const now = performance.now();
      if (buckets.size >= MAX_CALLERS) buckets.clear();
      const bucket = buckets.get(caller) ?? { tokens: burst, filledAt: now };
      buckets.set(caller, bucket);
      bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledAt) / 1000) * rate);
      bucket.filledAt = now;
      if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / rate) * 1000);
      bucket.tokens -= 1;
      return 0;
    },
  };
}
