import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { Digest } from "@varve/oci";
import type { Entry, EntryType } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { compareText, orderEntries } from "./order-entries.ts";
import { openContent } from "./read-content.ts";

const typeNumbers: Readonly<Record<EntryType, number>> = {
  file: 0,
  directory: 1,
  symlink: 2,
  hardlink: 3,
  "char-device": 4,
  "block-device": 5,
  fifo: 6,
  whiteout: 7,
  opaque: 8,
};
const version = "varve/tree/1\0";
const chunkLength = 1024 * 1024;
/** Bytes read between two turns of the event loop. */
const sliceLength = 4 * 1024 * 1024;

/**
 * The digest of a file set: path, type, mode, owner, size, content, link target, device and xattrs of every entry, in
 * the order of a layer whatever their order here; mtimes left out. File digests that are absent are computed first.
 */
export async function treeDigest(
  entries: readonly Entry[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<Digest> {
  return digestOrdered(orderEntries(await digestFiles(entries, options)));
}

/** The same entries, with the digest of every file. Reads those files whose digest is absent. */
export async function digestFiles(
  entries: readonly Entry[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<readonly Entry[]> {
  if (entries.every((entry) => entry.type !== "file" || entry.digest !== undefined)) return entries;
  const digested: Entry[] = [];
  let read = 0;
  for (const entry of entries) {
    const isDue = entry.type === "file" && entry.digest === undefined;
    digested.push(isDue ? { ...entry, digest: digestFile(entry) } : entry);
    read += isDue ? entry.size + 4096 : 0;
    if (read < sliceLength) continue;
    read = 0;
    options.signal?.throwIfAborted();
    await setImmediate();
  }
  return digested;
}

/**
 * The sha256 of a file's bytes, read now.
 * @throws LayerError `FILE_CHANGED` where it is not as the entry says, `SOURCE_MISSING` where it has no content.
 */
export function digestFile(entry: Entry): Digest {
  using content = openContent(entry);
  const sum = createHash("sha256");
  const buffer = Buffer.allocUnsafe(Math.min(entry.size, chunkLength));
  for (let at = 0; at < entry.size; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, entry.size - at));
    content.fill(piece);
    sum.update(piece);
  }
  content.check();
  return `sha256:${sum.digest("hex")}`;
}

/**
 * The tree digest of entries that stand in the order of a layer, every file with its digest.
 * @throws LayerError `SOURCE_MISSING` for a file without.
 */
export function digestOrdered(entries: Iterable<Entry>): Digest {
  const sum = new TreeSum();
  for (const entry of entries) sum.add(entry, entry.digest);
  return sum.finish();
}

/** A tree digest of entries that come one by one. */
export class TreeSum {
  readonly #sum = createHash("sha256").update(version);
  readonly #frames = new FrameBuffer();

  /**
   * Adds the next entry in the order of a layer; `digest`: of its bytes, `path`: where it stands, if not at its own.
   * @throws LayerError `SOURCE_MISSING` for a file without digest.
   */
  add(entry: Entry, digest: Digest | undefined, path: string = entry.path): void {
    this.#frames.text(path);
    frameEntry(this.#frames, entry, digest);
    if (this.#frames.length > chunkLength) this.#sum.update(this.#frames.take());
  }

  /** Nothing can be added any more. */
  finish(): Digest {
    return `sha256:${this.#sum.update(this.#frames.take()).digest("hex")}`;
  }
}

function frameEntry(frames: FrameBuffer, entry: Entry, digest: Digest | undefined): void {
  frames.number(typeNumbers[entry.type]);
  frames.number(entry.mode);
  frames.number(entry.uid);
  frames.number(entry.gid);
  frames.number(entry.type === "file" ? entry.size : 0);
  frames.text(entry.type === "file" ? known(digest, entry) : "");
  frames.text(entry.linkname ?? "");
  frames.number(entry.device?.major ?? 0);
  frames.number(entry.device?.minor ?? 0);
  if (entry.xattrs === undefined) frames.number(0);
  else frameXattrs(frames, entry.xattrs);
}

function frameXattrs(frames: FrameBuffer, xattrs: Readonly<Record<string, Uint8Array>>): void {
  const names = Object.keys(xattrs).sort(compareText);
  frames.number(names.length);
  for (const name of names) {
    frames.text(name);
    frames.bytes(xattrs[name] ?? new Uint8Array());
  }
}

function known(digest: Digest | undefined, { path }: Entry): Digest {
  if (digest !== undefined) return digest;
  throw new LayerError("SOURCE_MISSING", `Cannot digest "${path}": the digest of its bytes is not known`, { path });
}

/** Collects numbers of 8 bytes, and texts and bytes behind their length, so that no two lists of parts look alike. */
class FrameBuffer {
  length = 0;
  #buffer = Buffer.allocUnsafe(2 * chunkLength);
  #view = viewOf(this.#buffer);

  number(value: number): void {
    this.#reserve(8);
    const low = value % 2 ** 32;
    this.#view.setUint32(this.length, value === low ? 0 : (value - low) / 2 ** 32);
    this.#view.setUint32(this.length + 4, low);
    this.length += 8;
  }

  text(value: string): void {
    this.#reserve(4 + value.length * 3);
    const written = value === "" ? 0 : this.#buffer.write(value, this.length + 4);
    this.#view.setUint32(this.length, written);
    this.length += 4 + written;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(4 + value.length);
    this.#view.setUint32(this.length, value.length);
    this.#buffer.set(value, this.length + 4);
    this.length += 4 + value.length;
  }

  /** What was collected; valid until more is. */
  take(): Uint8Array {
    const taken = this.#buffer.subarray(0, this.length);
    this.length = 0;
    return taken;
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.length + more));
    this.#buffer.copy(larger, 0, 0, this.length);
    this.#buffer = larger;
    this.#view = viewOf(larger);
  }
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}
