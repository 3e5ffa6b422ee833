import type { Entry, EntryType } from "./entry.ts";
import { LayerError } from "./errors.ts";

const surrogate = /[\ud800-\udfff]/;

/** Entries in the order of a layer: by the bytes of their paths, so that a directory stands before what it holds; a whiteout before, an opaque marker after an entry of the same path. Hard links are turned so that the first path of a file is the file. */
export function orderEntries(entries: readonly Entry[]): readonly Entry[] {
  return settleHardlinks(sortEntries(entries));
}

/** Entries sorted as in a layer, hard links as they are. */
export function sortEntries<T extends Entry>(entries: readonly T[]): readonly T[] {
  // Looked for once: a comparison is then one of texts.
  const compare = entries.some(({ path }) => surrogate.test(path)) ? compareEntries : comparePlainEntries;
  return isOrdered(entries, compare) ? entries : entries.toSorted(compare);
}

/**
 * The turns of what a directory holds, in the order of a layer: each has one under its name, and a directory another one
 * under its name and "/", for what is below it. Names such as "a-b" stand between "a" and "a/".
 */
export function orderTurns(names: Iterable<string>, isDirectory: (name: string) => boolean): readonly string[] {
  const turns: string[] = [];
  for (const name of names) {
    turns.push(name);
    if (isDirectory(name)) turns.push(`${name}/`);
  }
  return turns.some((turn) => surrogate.test(turn)) ? turns.sort(comparePaths) : turns.sort();
}

/** Negative, zero or positive as the UTF-8 bytes of `a` sort before, with or after those of `b`. */
export function comparePaths(a: string, b: string): number {
  if (a === b) return 0;
  return surrogate.test(a) || surrogate.test(b) ? compareUnits(a, b) : compareText(a, b);
}

/** Negative, zero or positive by UTF-16 code units, as `<` compares. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** Code units sort as UTF-8 bytes do, save that surrogates stand for what lies above U+FFFF. */
function compareUnits(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  for (let at = 0; at < end; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x !== y) return rankOfUnit(x) - rankOfUnit(y);
  }
  return a.length - b.length;
}

function rankOfUnit(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function compareEntries(a: Entry, b: Entry): number {
  return comparePaths(a.path, b.path) || rankOfType(a.type) - rankOfType(b.type);
}

function rankOfType(type: EntryType): number {
  if (type === "whiteout") return 0;
  return type === "opaque" ? 2 : 1;
}

function comparePlainEntries(a: Entry, b: Entry): number {
  return compareText(a.path, b.path) || rankOfType(a.type) - rankOfType(b.type);
}

function isOrdered(entries: readonly Entry[], compare: typeof compareEntries): boolean {
  for (let at = 1; at < entries.length; at++) {
    const [before, entry] = [entries[at - 1], entries[at]];
    if (before !== undefined && entry !== undefined && compare(before, entry) > 0) return false;
  }
  return true;
}

function settleHardlinks(entries: readonly Entry[]): readonly Entry[] {
  if (!entries.some((entry) => entry.type === "hardlink")) return entries;
  const files = new Map(entries.filter((entry) => entry.type === "file").map((entry) => [entry.path, entry]));
  const firsts = new Map<string, string>();
  for (const entry of entries) {
    const target = entry.type === "hardlink" ? hardlinkTarget(entry, files) : entry.path;
    if (files.has(target) && !firsts.has(target)) firsts.set(target, entry.path);
  }
  return entries.map((entry) => settleHardlink(entry, files, firsts));
}

function hardlinkTarget(entry: Entry, files: ReadonlyMap<string, Entry>): string {
  const target = entry.linkname ?? "";
  if (files.has(target)) return target;
  throw new LayerError(
    "ENTRY_UNSUPPORTED",
    `Cannot take hard link "${entry.path}" into a layer: its file "${target}" is not among the entries`,
    { path: entry.path },
  );
}

function settleHardlink(entry: Entry, files: ReadonlyMap<string, Entry>, firsts: ReadonlyMap<string, string>): Entry {
  const target = entry.type === "hardlink" ? (entry.linkname ?? "") : entry.path;
  const file = entry.type === "hardlink" || entry.type === "file" ? files.get(target) : undefined;
  const first = firsts.get(target);
  if (file === undefined || first === undefined) return entry;
  if (first === entry.path) return entry.type === "file" ? entry : { ...file, path: first };
  const { digest: _digest, content: _content, xattrs: _xattrs, ...rest } = file;
  return { ...rest, path: entry.path, type: "hardlink", size: 0, linkname: first };
}
