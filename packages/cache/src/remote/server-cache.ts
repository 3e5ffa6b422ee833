import {
  type ContentSource,
  type Descriptor,
  type Digest,
  readContent,
  streamContent,
  type TransferOptions,
} from "@varve/oci";
import type { LocalStore, MountCache, OfferOptions, PutOptions, RemoteCache, TransferCounts } from "../ports.ts";
import type { CacheKey, CacheRecord, RecordLayer } from "../record.ts";
import { type BlobSegment, type BlobPiece, cutBlob } from "./blob-parts.ts";
import { cutContent } from "./cut-content.ts";
import { assembleBlob, fetchBlob, type PlacedPiece } from "./fetch-blob.ts";
import { requestLease } from "./lease.ts";
import { parseMountState, parseRecordsResponse } from "./parse-protocol.ts";
import { createPinnedKeys, type PinnedKeys } from "./pinned-keys.ts";
import type { BuildReport, ResolveRequest, SignedRecord } from "./protocol.ts";
import { findSegments, rememberSegments } from "./segment-memo.ts";
import { readJson, type Server, ServerFailure, sendToServer } from "./transport.ts";
import { type UploadOptions, uploadPieces, uploadWhole, WHOLE_BELOW } from "./upload-blob.ts";

export interface ServerCacheOptions {
  readonly server: Server;
  /** Where segments are looked for, and the server's keys are remembered. */
  readonly store: LocalStore;
  /** Public keys in base64 that alone are trusted; empty: those that were there at first use. */
  readonly trustedKeys: readonly string[];
  /** The segments that a layer index tells of; undefined: none. */
  readonly decodeSegments: (index: Uint8Array) => readonly BlobSegment[] | undefined;
  /** False: records are only read. */
  readonly write: boolean;
}

/** A cache server, spoken to as docs/protocol.md says. */
export interface ServerCache extends RemoteCache, MountCache {
  /** Tells the server how a build went, for its dashboard. */
  report(build: BuildReport, options?: TransferOptions): Promise<void>;
}

/** When a record was sent to a server, by the server's URL and the key: milliseconds since 1970. */
const SENT = "sent/1";
const RECENTLY = 24 * 3_600_000;
/** Largest layer index that is read. Bytes. */
const MAX_INDEX = 512 * 1024 * 1024;

/** Opens the cache of a server; nothing is sent before it is used. */
export function openServerCache(options: ServerCacheOptions): ServerCache {
  return new HttpCache(options);
}

class HttpCache implements ServerCache {
  readonly name: string;
  readonly content: ContentSource;
  readonly #options: ServerCacheOptions;
  readonly #keys: PinnedKeys;
  readonly #counts = { sent: 0, received: 0, sendSaved: 0, receiveSaved: 0 };
  /** Layers of records that were read, by the digest of their blob. */
  readonly #layers = new Map<Digest, RecordLayer>();
  /** Blobs that did not come out right when they were assembled. */
  readonly #plain = new Set<Digest>();
  readonly #uploads = new Map<Digest, Promise<void>>();
  /** Keys of records that it gave. */
  readonly #served = new Set<CacheKey>();
  /** The token may not write. */
  #readOnly = false;

  constructor(options: ServerCacheOptions) {
    const { server, store, trustedKeys } = options;
    this.name = server.url;
    this.#options = options;
    this.#keys = createPinnedKeys({ server, memo: store.memo, trusted: trustedKeys });
    this.#readOnly = !options.write;
    this.content = {
      exists: (descriptor, transfer) => this.#exists(descriptor, transfer),
      fetch: (descriptor, transfer) =>
        streamContent(descriptor, (signal) => this.#read(descriptor, signal), transfer ?? {}),
    };
  }

  counts(): TransferCounts {
    return { ...this.#counts };
  }

  async getMany(keys: readonly CacheKey[]): Promise<readonly (CacheRecord | undefined)[]> {
    const { server } = this.#options;
    const response = await sendToServer(server, "/records/lookup", { method: "POST", json: { keys } });
    const { records } = parseRecordsResponse(await readJson(response), keys.length);
    return this.#accept(records);
  }

  async resolve(plan: ResolveRequest): Promise<readonly CacheRecord[]> {
    const response = await sendToServer(this.#options.server, "/resolve", { method: "POST", json: plan });
    const { records } = parseRecordsResponse(await readJson(response), plan.steps.length);
    return (await this.#accept(records)).filter((record) => record !== undefined);
  }

  async #accept(signed: readonly (SignedRecord | null)[]): Promise<readonly (CacheRecord | undefined)[]> {
    await this.#keys.check(signed.filter((each) => each !== null));
    for (const { record } of signed.filter((each) => each !== null)) {
      this.#served.add(record.key);
      if (record.layer !== undefined) this.#layers.set(record.layer.descriptor.digest, record.layer);
    }
    return signed.map((each) => each?.record);
  }

  async #exists({ digest }: Descriptor, { signal }: TransferOptions = {}): Promise<boolean> {
    const response = await sendToServer(this.#options.server, `/blobs/${digest}`, {
      method: "HEAD",
      accept: [404],
      signal,
    });
    return response.ok;
  }

  /** Of a layer that resembles one in the store only the difference. */
  async *#read(descriptor: Descriptor, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { server, store } = this.#options;
    const onReceived = (bytes: number): void => void (this.#counts.received += bytes);
    const pieces = await this.#place(descriptor, signal);
    const held = pieces.reduce((sum, { piece, place }) => sum + (place === undefined ? 0 : piece.length), 0);
    if (held === 0) yield* fetchBlob(server, descriptor, { signal, onReceived });
    else {
      this.#counts.receiveSaved += held;
      this.#plain.add(descriptor.digest);
      yield* assembleBlob(server, { descriptor, pieces }, { store, signal, onReceived });
    }
    await this.#remember(
      descriptor,
      pieces.map(({ piece }) => piece),
    );
  }

  async #place(descriptor: Descriptor, signal: AbortSignal): Promise<readonly PlacedPiece[]> {
    const layer = this.#layers.get(descriptor.digest);
    if (layer === undefined || descriptor.size < WHOLE_BELOW || this.#plain.has(descriptor.digest)) return [];
    const { store } = this.#options;
    const pieces = await this.#cut(layer, signal);
    const places = await findSegments(store, descriptor.mediaType, pieces);
    return pieces.map((piece, position) => ({ piece, place: places[position] }));
  }

  /** The layer index says where its segments are; it comes to the store on the way. */
  async #cut({ descriptor, index }: RecordLayer, signal?: AbortSignal): Promise<readonly BlobPiece[]> {
    const { store, decodeSegments } = this.#options;
    const transfer = signal === undefined ? {} : { signal };
    if (!(await store.content.exists(index)))
      await store.content.push(index, this.content.fetch(index, transfer) as AsyncIterable<Uint8Array>, transfer);
    const segments = decodeSegments(await readContent(store.content, index, { limit: MAX_INDEX, ...transfer }));
    return cutBlob(descriptor.size, segments ?? []);
  }

  #remember({ digest, mediaType }: Descriptor, pieces: readonly BlobPiece[]): Promise<void> {
    return rememberSegments(this.#options.store.memo, { blob: digest, mediaType }, pieces);
  }

  async put(record: CacheRecord, blobs: ContentSource, options: TransferOptions & OfferOptions = {}): Promise<void> {
    if (this.#readOnly || (options.isFound === true && (await this.#has(record.key)))) return;
    try {
      await this.#put(record, blobs, options);
      if (!this.#readOnly) await this.#noteSent(record.key);
    } catch (error) {
      if (!(error instanceof ServerFailure) || error.status !== 403) throw error;
      this.#readOnly = true;
    }
  }

  /** What was made while the server was away is sent later; what it has been sent lately is not asked about. */
  async #has(key: CacheKey): Promise<boolean> {
    if (this.#served.has(key)) return true;
    const sent = await this.#options.store.memo.get(SENT, this.#sentName(key));
    if (sent !== undefined && Date.now() - Number(Buffer.from(sent).toString()) < RECENTLY) return true;
    const [record] = await this.getMany([key]);
    if (record !== undefined) await this.#noteSent(key);
    return record !== undefined;
  }

  #noteSent(key: CacheKey): Promise<void> {
    return this.#options.store.memo.put(SENT, this.#sentName(key), Buffer.from(String(Date.now())));
  }

  #sentName(key: CacheKey): string {
    return `${this.#options.server.url} ${key}`;
  }

  async #put(
    record: CacheRecord,
    blobs: ContentSource,
    { replace, signal }: TransferOptions & PutOptions,
  ): Promise<void> {
    const { layer } = record;
    if (layer !== undefined) await this.#uploadOnce(layer, blobs, signal);
    const query = replace === true ? "?replace=1" : "";
    const send = async (path: string, accept: readonly number[]): Promise<number> => {
      const response = await sendToServer(this.#options.server, path, { method: "PUT", json: record, accept, signal });
      await response.body?.cancel();
      return response.status;
    };
    const status = await send(`/records/${record.key}${query}`, [403, 409, 422]);
    if (status === 403 && replace === true) await send(`/records/${record.key}`, [409]);
    else if (status === 403) this.#readOnly = true;
    else if (status === 422 && layer !== undefined) {
      // What the server had when its record was read is gone there.
      this.#layers.delete(layer.descriptor.digest);
      this.#uploads.delete(layer.descriptor.digest);
      await this.#uploadOnce(layer, blobs, signal);
      await send(`/records/${record.key}${query}`, [409]);
    }
  }

  #uploadOnce(layer: RecordLayer, blobs: ContentSource, signal: AbortSignal | undefined): Promise<void> {
    const { digest } = layer.descriptor;
    const uploaded = this.#uploads.get(digest) ?? this.#upload(layer, blobs, signal);
    this.#uploads.set(digest, uploaded);
    uploaded.catch(() => this.#uploads.delete(digest));
    return uploaded;
  }

  async #upload(layer: RecordLayer, blobs: ContentSource, signal: AbortSignal | undefined): Promise<void> {
    const { server, store } = this.#options;
    const { descriptor, index } = layer;
    if (this.#layers.has(descriptor.digest)) return;
    const options = {
      ...(signal === undefined ? {} : { signal }),
      onSent: (bytes: number): void => void (this.#counts.sent += bytes),
      onSaved: (bytes: number): void => void (this.#counts.sendSaved += bytes),
    };
    await this.#uploadIndex(index, blobs, options);
    const path = store.blobPath(descriptor.digest);
    if (path === undefined || descriptor.size < WHOLE_BELOW)
      return uploadWhole(server, descriptor, { ...options, blobs });
    const pieces = await this.#cut(layer, signal);
    await uploadPieces(server, { ...descriptor, path, pieces }, options);
    await this.#remember(descriptor, pieces);
  }

  /** The list of a layer's files resembles the one before it. */
  async #uploadIndex(index: Descriptor, blobs: ContentSource, options: UploadOptions): Promise<void> {
    const { server, store } = this.#options;
    const path = store.blobPath(index.digest);
    if (path === undefined || index.size < WHOLE_BELOW) return uploadWhole(server, index, { ...options, blobs });
    const pieces = cutContent(await readContent(store.content, index, { limit: MAX_INDEX }));
    return uploadPieces(server, { ...index, path, pieces }, options);
  }

  lease(key: CacheKey): ReturnType<NonNullable<RemoteCache["lease"]>> {
    if (this.#readOnly) return Promise.resolve({ type: "granted", end: async () => undefined });
    const check = async (signed: SignedRecord): Promise<void> => void (await this.#accept([signed]));
    return requestLease(this.#options.server, { key, check });
  }

  async getMount(id: string): Promise<RecordLayer | undefined> {
    const response = await sendToServer(this.#options.server, `/mounts/${id}`, { accept: [404] });
    if (response.status === 404) return void response.body?.cancel();
    const { layer } = parseMountState(await readJson(response));
    this.#layers.set(layer.descriptor.digest, layer);
    return layer;
  }

  async putMount(
    id: string,
    layer: RecordLayer,
    blobs: ContentSource,
    { signal }: TransferOptions = {},
  ): Promise<void> {
    if (this.#readOnly) return;
    await this.#uploadOnce(layer, blobs, signal);
    const response = await sendToServer(this.#options.server, `/mounts/${id}`, {
      method: "PUT",
      json: { layer, updatedAt: new Date().toISOString() },
      signal,
    });
    await response.body?.cancel();
  }

  async report(build: BuildReport, { signal }: TransferOptions = {}): Promise<void> {
    const response = await sendToServer(this.#options.server, "/builds", {
      method: "POST",
      json: build,
      accept: [403],
      signal,
    });
    await response.body?.cancel();
  }
}
