import { setTimeout } from "node:timers/promises";
import type { ContentSource, Digest } from "@varve/oci";
import { CacheError } from "./errors.ts";
import { createGuard } from "./guard.ts";
import { hasBlobs } from "./memory-cache.ts";
import type { BuildCache, FoundRecord, LocalStore, PutOptions, RemoteCache, TransferCounts, Turn } from "./ports.ts";
import { type Behind, createPromisedContent, type PromisedContent } from "./promised-content.ts";
import type { CacheKey, CacheRecord } from "./record.ts";
import type { ResolveRequest } from "./remote/protocol.ts";
import { createTurns, type Turns } from "./turns.ts";
import { createUploads, type Uploads } from "./uploads.ts";

export interface BuildCacheOptions {
  readonly store: LocalStore;
  /** Asked in this order. */
  readonly remotes: readonly RemoteCache[];
  readonly onWarning: (message: string) => void;
}

/** What the caches of others did for a build. */
export interface CacheCounts {
  readonly remote: number;
  readonly waited: number;
  /** Requests that failed. */
  readonly faults: number;
  readonly transfers: TransferCounts;
  /** Milliseconds that the steps took which were found, when they ran. */
  readonly timeSaved: number;
  /** Bytes of the layers of these steps. */
  readonly bytesSaved: number;
}

/** How long to wait for uploads at the end. */
export interface FinishOptions {
  /** Milliseconds. */
  readonly limit: number;
  /** Diff IDs of the images that were built. */
  readonly layers: ReadonlySet<Digest>;
}

/** A build's cache, and its end. */
export interface OpenBuildCache extends BuildCache, AsyncDisposable {
  /** Sends what is still to be sent, and keeps the records whose blobs came to the store. */
  finish(options: FinishOptions): Promise<void>;
  counts(): CacheCounts;
}

/** A record, and the cache that has it. */
interface Promised {
  readonly record: CacheRecord;
  readonly behind: Behind;
}

/** How long others may take for one record before we make it ourselves, and how many of them: milliseconds. */
const LONGEST_WAIT = 900_000;
const MOST_WAITS = 4;
const POLL = 50;
/** Blobs that were promised and not given, after which no remote cache is read any more. */
const MOST_LOST = 3;

/** The cache of one build: `store`, then `remotes`. Remote blobs are fetched when they are read. */
export function openBuildCache(options: BuildCacheOptions): OpenBuildCache {
  return new TieredCache(options);
}

class TieredCache implements OpenBuildCache {
  readonly content: ContentSource;
  readonly #store: LocalStore;
  readonly #behind: readonly Behind[];
  readonly #turns: Turns;
  readonly #uploads: Uploads;
  /** Records that came from a remote cache or whose blobs may be there only. */
  readonly #found = new Map<CacheKey, FoundRecord>();
  readonly #promised: PromisedContent;
  #plan: (() => Promise<ResolveRequest>) | undefined;
  #foreseen: Promise<ReadonlyMap<CacheKey, Promised>> | undefined;
  readonly #waits = new Map<CacheKey, { readonly since: number; count: number }>();
  readonly #counts = { remote: 0, waited: 0, timeSaved: 0, bytesSaved: 0 };

  constructor({ store, remotes, onWarning }: BuildCacheOptions) {
    this.#store = store;
    this.#behind = remotes.map((cache) => ({ cache, guard: createGuard({ name: cache.name, onWarning }) }));
    this.#turns = createTurns(`${store.path}/turns`);
    this.#promised = createPromisedContent(store);
    this.content = this.#promised;
    this.#uploads = createUploads({ behind: this.#behind, blobs: this.content, onWarning });
  }

  get isShared(): boolean {
    return this.#behind.length > 0;
  }

  async find(key: CacheKey): Promise<FoundRecord | undefined> {
    const found = (await this.#findLocal(key)) ?? (await this.#findRemote(key));
    return found === undefined ? undefined : this.#count(found);
  }

  foresee(plan: () => Promise<ResolveRequest>): void {
    this.#plan = plan;
    this.#foreseen = undefined;
  }

  async #findLocal(key: CacheKey): Promise<FoundRecord | undefined> {
    const [record] = await this.#store.index.getMany([key]);
    return record === undefined ? undefined : { record, source: "local" };
  }

  /** Asked for the whole plan at the first miss, then for single keys. */
  async #findRemote(key: CacheKey): Promise<FoundRecord | undefined> {
    if (this.#behind.every((behind) => !this.#isUsable(behind))) return undefined;
    const foreseen = (await (this.#foreseen ??= this.#resolvePlan())).get(key);
    if (foreseen !== undefined && this.#isUsable(foreseen.behind) && !this.#promised.isLost(foreseen.record))
      return this.#accept(foreseen.record, foreseen.behind);
    for (const behind of this.#behind.filter((each) => this.#isUsable(each))) {
      const [record] = (await behind.guard.attempt(() => behind.cache.getMany([key]))) ?? [];
      if (record !== undefined && !this.#promised.isLost(record)) return this.#accept(record, behind);
    }
    return undefined;
  }

  #isUsable({ guard }: Behind): boolean {
    return this.#promised.lost < MOST_LOST && !guard.isOpen();
  }

  async #resolvePlan(): Promise<ReadonlyMap<CacheKey, Promised>> {
    const records = new Map<CacheKey, Promised>();
    const able = this.#behind.filter(({ cache }) => cache.resolve !== undefined);
    const plan = able.length === 0 ? undefined : await this.#plan?.();
    if (plan === undefined) return records;
    for (const behind of able.toReversed()) {
      for (const record of (await behind.guard.attempt(async () => behind.cache.resolve?.(plan))) ?? [])
        records.set(record.key, { record, behind });
    }
    return records;
  }

  #accept(record: CacheRecord, behind: Behind): FoundRecord {
    const found: FoundRecord = { record, source: this.#waits.has(record.key) ? "waited" : "remote" };
    this.#promised.promise(record, behind);
    this.#found.set(record.key, found);
    return found;
  }

  #count(found: FoundRecord): FoundRecord {
    if (found.source !== "local") this.#counts[found.source] += 1;
    this.#counts.timeSaved += found.record.duration;
    this.#counts.bytesSaved += found.record.layer?.descriptor.size ?? 0;
    this.#uploads.offer(found.record);
    return found;
  }

  async put(record: CacheRecord, options: PutOptions = {}): Promise<void> {
    const { layer } = record;
    if (layer === undefined || (await hasBlobs(layer, this.#store.content)))
      await this.#store.index.put(record, options);
    else this.#found.set(record.key, { record, source: "remote" });
    this.#uploads.put(record, options);
  }

  findLayer(contentDigest: Digest): ReturnType<BuildCache["findLayer"]> {
    return this.#store.index.findLayer(contentDigest);
  }

  async takeTurn(key: CacheKey): Promise<Turn> {
    const waits = this.#waits.get(key);
    if (waits !== undefined && (waits.count > MOST_WAITS || Date.now() - waits.since > LONGEST_WAIT))
      return { type: "ours", end: () => undefined };
    const local = this.#turns.take(key);
    if (local.type === "theirs") return this.#waiting(key, (signal) => this.#waitForProcess(key, signal));
    const found = local.after ? await this.#findLocal(key) : undefined;
    if (found === undefined) return this.#takeRemoteTurn(key, () => local.end());
    local.end();
    return this.#made({ ...found, source: "waited" });
  }

  /** The first remote cache that has turns decides. */
  async #takeRemoteTurn(key: CacheKey, end: () => void): Promise<Turn> {
    const behind = this.#behind.find(({ cache }) => cache.lease !== undefined);
    const lease = await behind?.guard.attempt(async () => behind.cache.lease?.(key));
    if (behind === undefined || lease === undefined) return { type: "ours", end };
    switch (lease.type) {
      case "granted":
        return {
          type: "ours",
          end: () => {
            end();
            // Even where the cache is left alone: others wait for this.
            this.#uploads.after(key, () => void lease.end().catch(() => undefined));
          },
        };
      case "made":
        if (this.#promised.isLost(lease.record) || !this.#isUsable(behind)) return { type: "ours", end };
        end();
        return this.#made(this.#accept(lease.record, behind));
      case "held":
        end();
        return this.#waiting(key, async (signal) => {
          await behind.guard.attempt(() => lease.wait({ signal }));
        });
      default:
        return lease satisfies never;
    }
  }

  #made(found: FoundRecord): Turn {
    return { type: "made", found: this.#count(found) };
  }

  #waiting(key: CacheKey, wait: (signal: AbortSignal) => Promise<void>): Turn {
    const known = this.#waits.get(key) ?? { since: Date.now(), count: 0 };
    this.#waits.set(key, known);
    return {
      type: "theirs",
      wait: async (signal) => {
        await wait(signal);
        signal.throwIfAborted();
        known.count += 1;
      },
    };
  }

  async #waitForProcess(key: CacheKey, signal: AbortSignal): Promise<void> {
    const until = Date.now() + LONGEST_WAIT;
    while (this.#turns.isHeld(key) && Date.now() < until) await setTimeout(POLL, undefined, { signal });
  }

  async finish({ limit, layers }: FinishOptions): Promise<void> {
    await this.#uploads.finish({ limit, layers });
    for (const { record } of this.#found.values()) await this.#keep(record);
  }

  /** A record whose layer came to the store is complete with its layer index, which is small. */
  async #keep(record: CacheRecord): Promise<void> {
    const { layer } = record;
    if (layer === undefined || !(await this.#store.content.exists(layer.descriptor))) return;
    try {
      await this.#store.content.push(layer.index, this.content.fetch(layer.index) as AsyncIterable<Uint8Array>);
      await this.#store.index.put(record);
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
    }
  }

  counts(): CacheCounts {
    const transfers = this.#behind.map(({ cache }) => cache.counts());
    const sum = (name: keyof TransferCounts): number => transfers.reduce((total, each) => total + each[name], 0);
    return {
      ...this.#counts,
      faults: this.#behind.reduce((total, { guard }) => total + guard.faults, 0),
      transfers: {
        sent: sum("sent"),
        received: sum("received"),
        sendSaved: sum("sendSaved"),
        receiveSaved: sum("receiveSaved"),
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#uploads[Symbol.asyncDispose]();
    this.#turns[Symbol.dispose]();
  }
}
