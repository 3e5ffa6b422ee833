import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { Memo } from "@varve/cache";
import { type Digest, digestOf, hexOf } from "@varve/oci";
import { decodeFileList, encodeFileList, type FileList } from "./file-list.ts";
import type { BuildNotes, StepNote } from "./step-note.ts";

/** The last builds of one Dockerfile in one context, the newest first, and which file lists are kept for them. */
export interface Lineage {
  readonly builds: readonly BuildNotes[];
  /** What each of the places for file lists holds: the digest of an input. */
  readonly slots: readonly (Digest | null)[];
}

const NOTES = "lineage/1";
const LAST = "lineage-last/1";
const FILES = "file-list/1";
const MOST_BUILDS = 6;
const SLOTS = 64;
const DIGEST_BYTES = 32;
const MOST_BYTES = 64 * 1024 * 1024;

/** What is kept under `name` (a digest); an empty lineage where there is nothing, or it is damaged. */
export async function loadLineage(memo: Memo, name: Digest): Promise<Lineage> {
  const value = await memo.get(NOTES, hexOf(name));
  return (value === undefined ? undefined : decodeLineage(value)) ?? { builds: [], slots: [] };
}

/** Digest of what the last build saw; undefined before the first. */
export async function loadLast(memo: Memo, name: Digest): Promise<string | undefined> {
  const value = await memo.get(LAST, hexOf(name));
  return value === undefined ? undefined : Buffer.from(value).toString("utf8");
}

/** A build put before the others, and the lists of files that are new with it. */
export interface LineageChange {
  readonly build: BuildNotes;
  readonly last: string;
  /** By the digest of an input of `build`. */
  readonly files: ReadonlyMap<Digest, () => FileList | Promise<FileList>>;
}

/** Writes `lineage` with one more build. Six builds and 64 lists are kept; places are written again and again. */
export async function saveLineage(
  memo: Memo,
  name: Digest,
  { lineage, build, last, files }: LineageChange & { readonly lineage: Lineage },
): Promise<void> {
  const same = lineage.builds.find((each) => textOf(each) === textOf(build));
  const merged = same === undefined ? build : build.map((note, position) => withKeys(note, same[position]));
  const builds = [merged, ...lineage.builds.filter((each) => each !== same)].slice(0, MOST_BUILDS);
  const slots = assignSlots(lineage.slots, builds);
  for (const [slot, digest] of slots.entries()) {
    const list = digest === null || lineage.slots.includes(digest) ? undefined : await files.get(digest)?.();
    const bytes = list === undefined ? undefined : await encodeFileList(list);
    if (bytes === undefined || digest === null) continue;
    await memo.put(FILES, `${hexOf(name)}/${slot}`, Buffer.concat([Buffer.from(hexOf(digest), "hex"), bytes]));
  }
  await memo.put(NOTES, hexOf(name), encodeLineage({ builds, slots }));
  await memo.put(LAST, hexOf(name), Buffer.from(last));
}

/** A step that is found by its cheap key has no precise one: of two builds that saw the same, all keys are kept. */
function withKeys(note: StepNote, other: StepNote | undefined): StepNote {
  return { ...note, keys: [...new Set([...note.keys, ...(other?.keys ?? [])])] };
}

function textOf(build: BuildNotes): string {
  return JSON.stringify(build.map((note) => ({ ...note, keys: note.keys.length > 0 })));
}

/** The file list of an input of one of the builds; undefined where it is not kept. */
export async function loadFileList(
  memo: Memo,
  name: Digest,
  { slots, digest }: { readonly slots: Lineage["slots"]; readonly digest: Digest },
): Promise<FileList | undefined> {
  const slot = slots.indexOf(digest);
  const value = slot < 0 ? undefined : await memo.get(FILES, `${hexOf(name)}/${slot}`);
  if (value === undefined) return undefined;
  const bytes = Buffer.from(value);
  if (bytes.toString("hex", 0, DIGEST_BYTES) !== hexOf(digest)) return undefined;
  return decodeFileList(bytes.subarray(DIGEST_BYTES));
}

/** A place for each input of the builds, those of newer builds first; what has one keeps it. */
function assignSlots(slots: Lineage["slots"], builds: readonly BuildNotes[]): Lineage["slots"] {
  const inputs = builds.flat().flatMap((note) => note.inputs);
  const digests = inputs.flatMap((input) => (input.type === "files" ? [input.digest] : []));
  const wanted = new Set([...new Set(digests)].slice(0, SLOTS));
  const assigned = Array.from({ length: SLOTS }, (_, slot) => {
    const held = slots[slot] ?? null;
    return held !== null && wanted.delete(held) ? held : null;
  });
  const fresh = [...wanted];
  return assigned.map((held) => held ?? fresh.shift() ?? null);
}

interface StoredLineage {
  /** Notes that several builds share stand once. */
  readonly notes: readonly StepNote[];
  readonly builds: readonly (readonly number[])[];
  readonly slots: Lineage["slots"];
}

function encodeLineage({ builds, slots }: Lineage): Uint8Array {
  const positions = new Map<string, number>();
  const notes: StepNote[] = [];
  const numbered = builds.map((build) =>
    build.map((note) => {
      const text = JSON.stringify(note);
      const known = positions.get(text);
      if (known !== undefined) return known;
      positions.set(text, notes.length);
      return notes.push(note) - 1;
    }),
  );
  const stored: StoredLineage = { notes, builds: numbered, slots };
  return zstdCompressSync(JSON.stringify(stored));
}

function decodeLineage(value: Uint8Array): Lineage | undefined {
  try {
    const bytes = zstdDecompressSync(value, { maxOutputLength: MOST_BYTES });
    const { notes, builds, slots } = JSON.parse(bytes.toString("utf8")) as StoredLineage;
    return { builds: builds.map((build) => build.map((position) => notes[position]!)), slots };
  } catch {
    return undefined;
  }
}

/** What stands for a build's steps: their keys and results. Two builds that saw the same are one. */
export function fingerprintOf(steps: readonly (readonly (string | undefined)[])[]): string {
  return digestOf(Buffer.from(JSON.stringify(steps)));
}
