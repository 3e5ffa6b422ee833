import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompressSync } from "node:zlib";
import type { Digest } from "@varve/oci";
import { ByteReader, ByteWriter, type Bytes } from "./byte-codec.ts";
import type { Entry, EntryType } from "./entry.ts";
import { LayerError } from "./errors.ts";
import type { IndexEntry, LayerIndex, Segment } from "./layer-index.ts";
import { nanosecondsOf, secondsOf } from "./split-time.ts";

/** Of an encoded layer index. */
export const layerIndexMediaType = "application/vnd.varve.layer-index.v1";

const compress = promisify(zstdCompress);
const magic = "varve/layer-index/1\n";
/** Bytes of an index before compression beyond which it is refused: some 3 million entries. */
const largestIndex = 512 * 1024 * 1024;
const second = 1_000_000_000n;
const types: readonly EntryType[] = [
  "file",
  "directory",
  "symlink",
  "hardlink",
  "char-device",
  "block-device",
  "fifo",
  "whiteout",
  "opaque",
];
const typeNumbers: ReadonlyMap<EntryType, number> = new Map(types.map((type, number) => [type, number]));
const has = { linkname: 16, device: 32, xattrs: 64, digest: 128, tarOffset: 256 } as const;

/** A layer index as a small blob. The format is described in docs/cache-format.md, "Layer index". Contents are left out. */
export async function encodeLayerIndex(index: LayerIndex): Promise<Uint8Array> {
  const writer = new LayerIndexWriter();
  for (const entry of index.entries) writer.add(entry, entry);
  return writer.finish(index);
}

/** Of a file in a layer: its digest, and where its bytes start in the tar. */
export interface FilePlace {
  readonly digest?: Digest | undefined;
  readonly tarOffset?: number | undefined;
}

/** Writes a layer index entry by entry: nothing else of them has to be kept. */
export class LayerIndexWriter {
  readonly #texts = new ByteWriter();
  readonly #entries = new ByteWriter();
  #count = 0;

  /** Adds the next entry in the layer's order; its own place does not count. */
  add(entry: Entry, place: FilePlace): void {
    writeEntry(this.#entries, this.#texts, entry, place);
    this.#count += 1;
  }

  /** The blob. Nothing can be added any more. */
  async finish({ diffId, contentDigest, segments }: Omit<LayerIndex, "entries">): Promise<Uint8Array> {
    const texts = this.#texts.take();
    const head = new ByteWriter();
    head.number(texts.reduce((sum, { length }) => sum + length, 0));
    const middle = new ByteWriter();
    middle.digest(diffId);
    middle.digest(contentDigest);
    writeSegments(middle, segments);
    middle.number(this.#count);
    const pieces = [Buffer.from(magic), ...head.take(), ...texts, ...middle.take(), ...this.#entries.take()];
    const plain = Buffer.concat(pieces);
    // All of it at once: in small chunks it would wait for this thread between any two.
    const chunkSize = Math.max(64 * 1024, plain.length >> 1);
    return compress(plain, { params: { [constants.ZSTD_c_compressionLevel]: 3 }, chunkSize });
  }
}

/**
 * The layer index of a blob that `encodeLayerIndex` made.
 * @throws LayerError `INDEX_INVALID` where the blob is anything else; never reads beyond it, never makes more than it says.
 */
export function decodeLayerIndex(blob: Uint8Array): LayerIndex {
  try {
    const bytes = zstdDecompressSync(blob, { maxOutputLength: largestIndex });
    if (bytes.toString("latin1", 0, magic.length) !== magic) throw new RangeError("it does not start as one");
    return readIndex(bytes.subarray(magic.length));
  } catch (error) {
    throw new LayerError("INDEX_INVALID", `Cannot read layer index: ${(error as Error).message}`, { cause: error });
  }
}

function readIndex(bytes: Bytes): LayerIndex {
  const reader = new ByteReader(bytes);
  const texts = reader.texts(reader.number());
  const diffId = reader.digest();
  const contentDigest = reader.digest();
  const segments = readSegments(reader);
  const entries: IndexEntry[] = [];
  for (let left = reader.count(8); left > 0; left--) entries.push(readEntry(reader, texts));
  reader.end();
  texts.end();
  return segments === undefined ? { diffId, contentDigest, entries } : { diffId, contentDigest, entries, segments };
}

/** Segments follow each other without a gap, so that lengths and the first offset say all. */
function writeSegments(writer: ByteWriter, segments: readonly Segment[] | undefined): void {
  writer.number(segments === undefined ? 0 : segments.length + 1);
  const [first] = segments ?? [];
  if (segments === undefined || first === undefined) return;
  writer.number(first.offset);
  let [tarOffset, offset] = [0, first.offset];
  for (const segment of segments) {
    if (segment.tarOffset !== tarOffset || segment.offset !== offset) throw new Error("Segments leave a gap");
    writer.number(segment.tarLength);
    writer.number(segment.length);
    writer.digest(segment.tarDigest);
    tarOffset += segment.tarLength;
    offset += segment.length;
  }
}

function readSegments(reader: ByteReader): readonly Segment[] | undefined {
  const count = reader.count(34) - 1;
  if (count < 0) return undefined;
  const segments: Segment[] = [];
  let [tarOffset, offset] = [0, count === 0 ? 0 : reader.number()];
  for (let left = count; left > 0; left--) {
    const [tarLength, length, tarDigest] = [reader.number(), reader.number(), reader.digest()];
    segments.push({ tarOffset, tarLength, tarDigest, offset, length });
    tarOffset += tarLength;
    offset += length;
  }
  return segments;
}

function writeEntry(writer: ByteWriter, texts: ByteWriter, entry: Entry, place: FilePlace): void {
  const { linkname, device, xattrs } = entry;
  const { digest, tarOffset } = place;
  writer.number((typeNumbers.get(entry.type) ?? 0) | flagsOf(entry, place));
  writeText(writer, texts, entry.path);
  writer.number(entry.mode);
  writer.number(entry.uid);
  writer.number(entry.gid);
  writer.number(entry.size);
  const seconds = secondsOf(entry.mtime);
  writer.signed(seconds);
  writer.number(nanosecondsOf(entry.mtime, seconds));
  if (linkname !== undefined) writeText(writer, texts, linkname);
  if (device !== undefined) writer.number(device.major);
  if (device !== undefined) writer.number(device.minor);
  if (xattrs !== undefined) writeXattrs(writer, xattrs);
  if (digest !== undefined) writer.digest(digest);
  if (tarOffset !== undefined) writer.number(tarOffset);
}

function flagsOf({ linkname, device, xattrs }: Entry, { digest, tarOffset }: FilePlace): number {
  return (
    (linkname === undefined ? 0 : has.linkname) |
    (device === undefined ? 0 : has.device) |
    (xattrs === undefined ? 0 : has.xattrs) |
    (digest === undefined ? 0 : has.digest) |
    (tarOffset === undefined ? 0 : has.tarOffset)
  );
}

function writeText(writer: ByteWriter, texts: ByteWriter, text: string): void {
  writer.number(text.length);
  texts.text(text);
}

function writeXattrs(writer: ByteWriter, xattrs: Readonly<Record<string, Uint8Array>>): void {
  const names = Object.keys(xattrs).sort();
  writer.number(names.length);
  for (const name of names) {
    writer.bytes(Buffer.from(name));
    writer.bytes(xattrs[name] ?? new Uint8Array());
  }
}

function readEntry(reader: ByteReader, texts: TextReader): IndexEntry {
  const flags = reader.number();
  const type = types[flags & 15];
  if (type === undefined || flags > 511) throw new RangeError("an entry has no known type");
  const entry = {
    path: texts.next(reader.number()),
    type,
    mode: reader.number(),
    uid: reader.number(),
    gid: reader.number(),
    size: reader.number(),
    mtime: readTime(reader),
  };
  return flags < 16 ? entry : { ...entry, ...readMore(reader, texts, flags) };
}

type TextReader = ReturnType<ByteReader["texts"]>;

function readMore(reader: ByteReader, texts: TextReader, flags: number): Partial<IndexEntry> {
  const more: { -readonly [Name in keyof IndexEntry]?: IndexEntry[Name] } = {};
  if (flags & has.linkname) more.linkname = texts.next(reader.number());
  if (flags & has.device) more.device = { major: reader.number(), minor: reader.number() };
  if (flags & has.xattrs) more.xattrs = readXattrs(reader);
  if (flags & has.digest) more.digest = reader.digest();
  if (flags & has.tarOffset) more.tarOffset = reader.number();
  return more;
}

function readTime(reader: ByteReader): bigint {
  const seconds = reader.signed();
  const fraction = reader.number();
  if (fraction > 999_999_999) throw new RangeError("an entry has no valid time");
  return BigInt(seconds) * second + BigInt(fraction);
}

function readXattrs(reader: ByteReader): Readonly<Record<string, Uint8Array>> {
  const pairs: [string, Uint8Array][] = [];
  for (let left = reader.count(2); left > 0; left--) {
    pairs.push([Buffer.from(reader.bytes()).toString(), Uint8Array.from(reader.bytes())]);
  }
  return Object.fromEntries(pairs);
}
