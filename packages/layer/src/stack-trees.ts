import type { Entry, FileTree } from "./entry.ts";
import type { LayerIndex } from "./layer-index.ts";
import { compareText } from "./order-entries.ts";
import { joinPath, parentPath } from "./root-paths.ts";
import { impliedDirectory } from "./tree-writer.ts";

/** A layer of a stack: its index and, where it was extracted, its directory. */
export interface StackedLayer {
  readonly index: LayerIndex;
  readonly directory?: string;
}

/** One layer, laid out for look-ups. */
interface LayerMap {
  /** What the layer puts at a path; directories that it names only as parents included. */
  readonly entries: ReadonlyMap<string, Entry>;
  readonly children: ReadonlyMap<string, readonly string[]>;
  /** Paths where nothing of lower layers is seen. */
  readonly whiteouts: ReadonlySet<string>;
  /** Directories in which nothing of lower layers is seen. */
  readonly opaque: ReadonlySet<string>;
  /** Directories that it names only as parents: their attributes are those of lower layers, if these have them. */
  readonly implied: ReadonlySet<string>;
}

const maps = new WeakMap<LayerIndex, Map<string, LayerMap>>();

/**
 * The file tree of layers on top of each other, oldest first: image spec, layer.md, "Applying Changesets".
 * Hard links are files; files have `content` where their layer has a directory. A layer is laid out when a look-up
 * first reaches it, and once for all stacks that share its index; a look-up then costs one step per layer and per
 * part of the path at most.
 */
export function stackTrees(layers: readonly StackedLayer[]): FileTree {
  const newestFirst = layers.toReversed();
  return {
    lookup: (path) => lookUp(newestFirst, path),
    list: (path) => list(newestFirst, path),
  };
}

/** Directories that a layer names only as parents of its entries; extracted by itself, they hide attributes of the same directories beneath. */
export function impliedDirectories(index: LayerIndex): readonly string[] {
  return [...mapLayer({ index }).implied].sort(compareText);
}

function lookUp(newestFirst: readonly StackedLayer[], path: string): Entry | undefined {
  const parents = parentsOf(path);
  let implied: Entry | undefined;
  for (const layer of newestFirst) {
    const map = mapLayer(layer);
    const entry = map.entries.get(path);
    if (entry !== undefined && !map.implied.has(path)) {
      return implied === undefined || entry.type === "directory" ? entry : implied;
    }
    implied ??= entry;
    if (hides(map, parents, path)) break;
  }
  return implied ?? (path === "" ? impliedDirectory("") : undefined);
}

function hides(map: LayerMap, parents: readonly string[], path: string): boolean {
  if (map.whiteouts.has(path)) return true;
  for (const parent of parents) {
    if (map.opaque.has(parent) || map.whiteouts.has(parent)) return true;
    const entry = map.entries.get(parent);
    if (entry !== undefined && entry.type !== "directory") return true;
  }
  return false;
}

function list(newestFirst: readonly StackedLayer[], path: string): readonly string[] {
  const parents = parentsOf(path);
  const seen = new Set<string>();
  const gone = new Set<string>();
  for (const layer of newestFirst) {
    const map = mapLayer(layer);
    const entry = map.entries.get(path);
    if (entry !== undefined && entry.type !== "directory") break;
    for (const name of map.children.get(path) ?? []) addName({ seen, gone, map }, joinPath(path, name), name);
    if (map.opaque.has(path) || hides(map, parents, path)) break;
  }
  return [...seen].sort(compareText);
}

/** A name whose newest word is a whiteout is gone, whatever lower layers say. */
function addName(
  to: { readonly seen: Set<string>; readonly gone: Set<string>; readonly map: LayerMap },
  path: string,
  name: string,
): void {
  if (to.map.entries.has(path)) {
    if (!to.gone.has(name)) to.seen.add(name);
  } else if (!to.seen.has(name)) to.gone.add(name);
}

function parentsOf(path: string): readonly string[] {
  const parents: string[] = [];
  for (let at = path; at !== "";) {
    at = parentPath(at);
    parents.push(at);
  }
  return parents;
}

function mapLayer({ index, directory }: StackedLayer): LayerMap {
  const known = maps.get(index) ?? new Map<string, LayerMap>();
  maps.set(index, known);
  const map = known.get(directory ?? "") ?? buildMap(index, directory);
  known.set(directory ?? "", map);
  return map;
}

function buildMap(index: LayerIndex, directory: string | undefined): LayerMap {
  const entries = new Map<string, Entry>();
  const [whiteouts, opaque, implied] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (const entry of index.entries) {
    if (entry.type === "whiteout") whiteouts.add(entry.path);
    else if (entry.type === "opaque") opaque.add(entry.path);
    else putEntry(entries, entry, { directory, layer: index.diffId });
  }
  const children = new Map<string, Set<string>>();
  for (const path of [...entries.keys(), ...whiteouts, ...opaque]) linkParents({ entries, children, implied }, path);
  for (const path of opaque) if (!entries.has(path)) imply({ entries, implied }, path);
  const lists = new Map([...children].map(([path, names]) => [path, [...names]] as const));
  return { entries, children: lists, whiteouts, opaque, implied };
}

/** Which layer entries come from, and where it was extracted. */
interface Source {
  readonly directory: string | undefined;
  readonly layer: string;
}

/** A later entry of the same path replaces an earlier one, with all beneath it unless both are directories. */
function putEntry(entries: Map<string, Entry>, entry: Entry, source: Source): void {
  const before = entries.get(entry.path);
  if (before?.type === "directory" && entry.type !== "directory") dropBeneath(entries, entry.path);
  entries.set(entry.path, resolveEntry(entries, entry, source));
}

function dropBeneath(entries: Map<string, Entry>, path: string): void {
  for (const known of entries.keys()) if (known.startsWith(`${path}/`)) entries.delete(known);
}

/** A hard link is the file that it names; both then say that they are one. */
function resolveEntry(entries: Map<string, Entry>, entry: Entry, { directory, layer }: Source): Entry {
  if (entry.type === "hardlink") {
    const named = entries.get(entry.linkname ?? "");
    if (named === undefined) return { ...entry, type: "file" };
    const file = { ...named, inode: named.inode ?? `${layer}/${named.path}` };
    entries.set(file.path, file);
    return { ...file, path: entry.path };
  }
  if (entry.type !== "file" || directory === undefined) return entry;
  return { ...entry, content: { path: `${directory}/${entry.path}` } };
}

function linkParents(
  to: {
    readonly entries: Map<string, Entry>;
    readonly children: Map<string, Set<string>>;
    readonly implied: Set<string>;
  },
  path: string,
): void {
  for (let at = path; at !== "";) {
    const parent = parentPath(at);
    const names = to.children.get(parent);
    const name = at.slice(parent === "" ? 0 : parent.length + 1);
    if (names?.has(name) === true) return;
    if (names === undefined) to.children.set(parent, new Set([name]));
    else names.add(name);
    if (!to.entries.has(parent)) imply(to, parent);
    at = parent;
  }
}

function imply(to: { readonly entries: Map<string, Entry>; readonly implied: Set<string> }, path: string): void {
  if (path === "") return;
  to.entries.set(path, impliedDirectory(path));
  to.implied.add(path);
}
