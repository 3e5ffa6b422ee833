import type { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import {
  type ContentSource,
  type CopyTarget,
  type Descriptor,
  type Digest,
  copyImage,
  streamContent,
  type Target,
  type TransferOptions,
} from "@varve/oci";
import type { RemoteCache, TransferCounts } from "../ports.ts";
import type { CacheKey, CacheRecord } from "../record.ts";
import { blobsOf, encodeRecordSet, mergeRecords, readRecordSet, type RecordSet } from "./record-set.ts";

export interface OciCacheOptions {
  /** For messages. */
  readonly name: string;
  /** Opens the repository or the layout when it is first needed. */
  readonly openTarget: () => Promise<Target>;
  /** The tag or digest of the record set. */
  readonly place: string;
  /** False: records are only written. */
  readonly read: boolean;
  /** Undefined: records are only read. `min`: only those of the image's layers are written. */
  readonly write: { readonly mode: "min" | "max" } | undefined;
  readonly onWarning: (message: string) => void;
}

/** How often a set is written again where other builders wrote it at the same time. */
const TRIES = 12;
/** Longer than the time between another builder's last look at the tag and its write: milliseconds. */
const WAIT = 150;

/** Records in an OCI registry or layout, beside what other builders keep there. */
export function openOciCache(options: OciCacheOptions): RemoteCache {
  return new OciCache(options);
}

class OciCache implements RemoteCache {
  readonly name: string;
  readonly content: ContentSource;
  readonly put: RemoteCache["put"];
  readonly finish: RemoteCache["finish"];
  readonly #options: OciCacheOptions;
  readonly #counts = { sent: 0, received: 0, sendSaved: 0, receiveSaved: 0 };
  readonly #collected = new Map<CacheKey, CacheRecord>();
  readonly #replaced = new Set<CacheKey>();
  #target: Promise<Target> | undefined;
  #blobs: ContentSource | undefined;
  #loaded: Promise<ReadonlyMap<CacheKey, CacheRecord>> | undefined;

  constructor(options: OciCacheOptions) {
    this.#options = options;
    this.name = options.name;
    this.content = {
      exists: async (descriptor, transfer) => (await this.#open()).exists(descriptor, transfer),
      fetch: (descriptor, transfer) => streamContent(descriptor, (signal) => this.#read(descriptor, signal), transfer),
    };
    if (options.write === undefined) return;
    this.put = async (record, blobs, { replace } = {}) => {
      this.#blobs = blobs;
      this.#collected.set(record.key, record);
      if (replace === true) this.#replaced.add(record.key);
    };
    this.finish = (layers, transfer) => this.#write(layers, transfer);
  }

  #open(): Promise<Target> {
    return (this.#target ??= this.#options.openTarget());
  }

  async *#read(descriptor: Descriptor, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const target = await this.#open();
    for await (const chunk of target.fetch(descriptor, { signal }) as AsyncIterable<Uint8Array>) {
      this.#counts.received += chunk.length;
      yield chunk;
    }
  }

  counts(): TransferCounts {
    return { ...this.#counts };
  }

  async getMany(keys: readonly CacheKey[]): Promise<readonly (CacheRecord | undefined)[]> {
    if (!this.#options.read) return keys.map(() => undefined);
    const records = await (this.#loaded ??= this.#load());
    return keys.map((key) => records.get(key));
  }

  async #load(): Promise<ReadonlyMap<CacheKey, CacheRecord>> {
    const set = await this.#readSet();
    if (set === undefined) this.#options.onWarning(`Cache ${this.name} holds no records of varve, but something else`);
    return new Map(set?.records.map((record) => [record.key, record]));
  }

  /** Undefined where something else has the name. */
  async #readSet(transfer: TransferOptions = {}): Promise<RecordSet | undefined> {
    const target = await this.#open();
    const descriptor = await target.resolve(this.#options.place, transfer);
    return descriptor === undefined ? { records: [], descriptor } : readRecordSet(target, descriptor);
  }

  /** Registries know no transactions: what was written is looked at again, and merged once more where it is gone. */
  async #write(layers: ReadonlySet<Digest>, transfer: TransferOptions = {}): Promise<void> {
    const { write, onWarning } = this.#options;
    const ours = [...this.#collected.values()].filter(
      ({ layer }) => write?.mode === "max" || (layer !== undefined && layers.has(layer.diffId)),
    );
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      const set = await this.#readSet(transfer);
      if (set === undefined) return onWarning(`Cache ${this.name} is not written: something else has its name`);
      if (attempt > 1 && ours.every((record) => has(set, record))) return;
      const before = set.records.filter(({ key }) => !this.#replaced.has(key));
      if (ours.length === 0 || (attempt === 1 && this.#replaced.size === 0 && ours.every((each) => has(set, each))))
        return;
      await this.#writeSet(mergeRecords(ours, before), set, transfer);
      await setTimeout(WAIT + Math.random() * WAIT * attempt, undefined, transfer);
    }
  }

  async #writeSet(records: readonly CacheRecord[], before: RecordSet, transfer: TransferOptions): Promise<void> {
    const known = new Set(blobsOf(before.records).map(({ digest }) => digest));
    const manifest = await this.#push(records, { ...transfer, known }).catch(async (error: unknown) => {
      transfer.signal?.throwIfAborted();
      const whole = await this.#withBlobs(records, transfer);
      if (whole.length === records.length) throw error;
      return this.#push(whole, { ...transfer, known: new Set() });
    });
    const target = await this.#open();
    const current = await target.resolve(this.#options.place, transfer);
    if (current?.digest === before.descriptor?.digest) await target.tag(manifest, this.#options.place, transfer);
  }

  /** Those records whose blobs are there, or can be brought there. */
  async #withBlobs(records: readonly CacheRecord[], transfer: TransferOptions): Promise<readonly CacheRecord[]> {
    const target = await this.#open();
    const absent = new Set<Digest>();
    for (const blob of blobsOf(records)) {
      if (!(await target.exists(blob, transfer)) && (await this.#blobs?.exists(blob, transfer)) !== true)
        absent.add(blob.digest);
    }
    return records.filter((record) => blobsOf([record]).every(({ digest }) => !absent.has(digest)));
  }

  async #push(
    records: readonly CacheRecord[],
    { known, ...transfer }: TransferOptions & { readonly known: ReadonlySet<Digest> },
  ): Promise<Descriptor> {
    const target = await this.#open();
    const { manifest, config } = encodeRecordSet(records);
    const made = new Map([manifest, config].map(({ descriptor, bytes }) => [descriptor.digest, bytes]));
    const source = this.#sourceOf(made);
    const told: CopyTarget = {
      fetch: (descriptor, options) => target.fetch(descriptor, options),
      exists: async (descriptor, options) => known.has(descriptor.digest) || target.exists(descriptor, options),
      push: (expected, content, options) => target.push(expected, content, options),
    };
    return copyImage(source, told, {
      descriptor: manifest.descriptor,
      onProgress: ({ size }, current) => {
        if (current === size) this.#counts.sent += size;
      },
      ...transfer,
    });
  }

  #sourceOf(made: ReadonlyMap<Digest, Uint8Array>): ContentSource {
    const blobs = this.#blobs ?? this.content;
    return {
      exists: async (descriptor, options) => made.has(descriptor.digest) || blobs.exists(descriptor, options),
      fetch: (descriptor, options) => {
        const bytes = made.get(descriptor.digest);
        return bytes === undefined ? blobs.fetch(descriptor, options) : streamOf(descriptor, bytes, options);
      },
    };
  }
}

function has({ records }: RecordSet, { key }: CacheRecord): boolean {
  return records.some((record) => record.key === key);
}

function streamOf(descriptor: Descriptor, bytes: Uint8Array, options: TransferOptions | undefined): Readable {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  return streamContent(descriptor, chunks, options);
}
