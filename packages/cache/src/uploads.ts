import { type ContentSource, createSemaphore, type Digest } from "@varve/oci";
import type { Guard } from "./guard.ts";
import type { OfferOptions, PutOptions, RemoteCache } from "./ports.ts";
import type { CacheKey, CacheRecord } from "./record.ts";

/** Records on their way to remote caches, beside the build. */
export interface Uploads extends AsyncDisposable {
  /** Sends a new record. */
  put(record: CacheRecord, options: PutOptions): void;
  /** Sends a record that was found to the caches that do not have it. */
  offer(record: CacheRecord): void;
  /** Runs `task` once nothing of `key` is on its way any more. */
  after(key: CacheKey, task: () => void): void;
  /** Waits so many milliseconds at most for all of it; what is left then stays here. */
  finish(options: { readonly limit: number; readonly layers: ReadonlySet<Digest> }): Promise<void>;
}

export interface UploadsOptions {
  readonly behind: readonly { readonly cache: RemoteCache; readonly guard: Guard }[];
  readonly blobs: ContentSource;
  readonly onWarning: (message: string) => void;
}

/** Records that are sent at once. */
const CONCURRENCY = 3;

/** Uploads to all caches that can be written. */
export function createUploads({ behind, blobs, onWarning }: UploadsOptions): Uploads {
  const stop = new AbortController();
  const places = createSemaphore(CONCURRENCY);
  const pending = new Map<CacheKey, Promise<void>>();
  const writable = behind.filter(({ cache }) => cache.put !== undefined);
  const send = (record: CacheRecord, options: OfferOptions): void => {
    if (writable.length === 0) return;
    const before = pending.get(record.key);
    const sendToAll = async (): Promise<void> => {
      await before;
      for (const { cache, guard } of writable)
        await places.run(() => guarded(guard, () => cache.put?.(record, blobs, { ...options, signal: stop.signal })));
    };
    const sent = sendToAll();
    pending.set(record.key, sent);
    void sent.finally(() => pending.get(record.key) === sent && pending.delete(record.key));
  };
  const guarded = async (guard: Guard, task: () => Promise<void> | undefined): Promise<void> => {
    if (stop.signal.aborted) return;
    await guard.attempt(async () => {
      try {
        await task();
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
    });
  };
  return {
    put: (record, options) => send(record, options),
    offer: (record) => send(record, { isFound: true }),
    after: (key, task) => void (pending.get(key) ?? Promise.resolve()).then(task),
    async finish({ limit, layers }) {
      const all = (async () => {
        while (pending.size > 0) await Promise.all(pending.values());
        await Promise.all(
          writable.map(({ cache, guard }) => guarded(guard, () => cache.finish?.(layers, { signal: stop.signal }))),
        );
      })();
      const timer = globalThis.setTimeout(() => {
        onWarning(`Not all was sent to the cache in ${limit / 1000} s: the rest stays in the store`);
        stop.abort(new Error("The time for uploads is over"));
      }, limit);
      await all;
      clearTimeout(timer);
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("The build ended"));
      await Promise.all(pending.values());
    },
  };
}
