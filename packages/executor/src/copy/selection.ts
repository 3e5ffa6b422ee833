import { createIgnoreMatcher, createPathMatcher, parseDockerignore } from "@varve/dockerfile";
import type { Entry, FileTree } from "@varve/layer";
import { orderTurns, resolvePath } from "@varve/layer";
import { StepError } from "../errors.ts";

/** One thing that a source names: a file, or a directory with all that is selected in it. */
export interface SelectedRoot {
  /** Last name of the path that the source gave: what a file is called in a destination directory. */
  readonly name: string;
  /** The entry itself; a symlink that the source named was followed. */
  readonly entry: Entry;
  /**
   * Of a directory: what is below it, parents first, paths relative to it. May be looked for as it is asked for, once,
   * and then comes in the order of a layer.
   */
  readonly children: Iterable<Entry>;
  /** Of `--parents`: children may come without their directories' own selection, which are then made as they are in the source. */
  readonly parents: boolean;
}

export interface SelectOptions {
  /** `--exclude` patterns, relative to each root. */
  readonly exclude: readonly string[];
  /** `--parents`. */
  readonly parents: boolean;
}

/**
 * What `source` names in `tree`: a path or wildcards (Go's `filepath.Match`, name by name); relative or absolute,
 * never above the root. A wildcard that matches nothing selects nothing.
 * @throws StepError `SOURCE_MISSING` where a path without wildcards, or the part before the first one, is not there.
 */
export function selectSource(tree: FileTree, source: string, options: SelectOptions): readonly SelectedRoot[] {
  if (options.parents) return selectWithParents(tree, source, options);
  const path = cleanPath(source);
  const paths = hasWildcard(path) ? matchWildcard(tree, path) : [path];
  return paths.map((each) => selectPath(tree, each, options));
}

/** `path` without ".", "..", doubled and outer slashes; what would lead above the root stays at it. */
export function cleanPath(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return names.join("/");
}

/** True where `path` holds `*`, `?` or `[` that is not escaped. */
export function hasWildcard(path: string): boolean {
  return /^(?:[^*?[\\]|\\.)*[*?[]/s.test(path);
}

/**
 * What stands at `source`, whatever characters it has: its path with all symlinks followed, and its entry.
 * @throws StepError `SOURCE_MISSING`.
 */
export function findPath(tree: FileTree, source: string): { readonly path: string; readonly entry: Entry } {
  const { path, entry } = resolvePath(tree, cleanPath(source), { followLast: true });
  if (entry === undefined) throw sourceMissing(cleanPath(source));
  return { path, entry };
}

/**
 * The same with all that is below it.
 * @throws StepError `SOURCE_MISSING`.
 */
export function selectPath(
  tree: FileTree,
  source: string,
  { exclude }: Pick<SelectOptions, "exclude"> = { exclude: [] },
): SelectedRoot {
  const { path, entry } = findPath(tree, source);
  const named = cleanPath(source);
  const name = named.slice(named.lastIndexOf("/") + 1);
  const children = entry.type === "directory" ? selectBelow(tree, path, createFilter(exclude)) : [];
  return { name, entry, children, parents: false };
}

function sourceMissing(path: string): StepError {
  return new StepError(
    "SOURCE_MISSING",
    `Cannot copy "/${path}": not found in the build context or stage it is copied from`,
  );
}

/** True for a path below a root that is left out. */
type Filter = (path: string) => boolean;

function createFilter(patterns: readonly string[]): Filter | undefined {
  if (patterns.length === 0) return undefined;
  const matcher = createIgnoreMatcher(parseDockerignore(patterns.join("\n")));
  return (path) => matcher.matches(path).excluded;
}

/** Entries below `root` that are not excluded, parents first; an excluded directory comes only with what is selected in it. */
function selectBelow(tree: FileTree, root: string, exclude: Filter | undefined): Iterable<Entry> {
  return exclude === undefined ? lookOnce(walkBelow(tree, root, "")) : walkNotExcluded(tree, root, exclude);
}

/** All entries below `path`, in the order of a layer, with their paths below `relative`. */
function* walkBelow(tree: FileTree, path: string, relative: string): Generator<Entry> {
  const found = childrenOf(tree, path);
  const isSame = path === relative;
  for (const turn of orderTurns(found.keys(), (name) => found.get(name)?.type === "directory")) {
    const entry = found.get(turn);
    if (entry !== undefined) yield isSame ? entry : { ...entry, path: join(relative, turn) };
    else {
      const next = join(path, turn.slice(0, -1));
      yield* walkBelow(tree, next, isSame ? next : join(relative, turn.slice(0, -1)));
    }
  }
}

function childrenOf(tree: FileTree, path: string): ReadonlyMap<string, Entry> {
  if (tree.children !== undefined) return new Map(tree.children(path));
  const found = new Map<string, Entry>();
  for (const name of tree.list(path)) {
    const entry = tree.lookup(join(path, name));
    if (entry !== undefined) found.set(name, entry);
  }
  return found;
}

function placeAt(entry: Entry, path: string): Entry {
  return entry.path === path ? entry : { ...entry, path };
}

/** Gives what `entries` give, or throw, however often it is asked for. */
function lookOnce(entries: Iterator<Entry>): Iterable<Entry> {
  const known: Entry[] = [];
  let failure: { readonly error: unknown } | undefined;
  const lookFurther = (): Entry | undefined => {
    if (failure !== undefined) throw failure.error;
    try {
      const next = entries.next();
      if (next.done === true) return undefined;
      known.push(next.value);
      return next.value;
    } catch (error) {
      failure = { error };
      throw error;
    }
  };
  return {
    *[Symbol.iterator]() {
      for (let at = 0; ; at += 1) {
        const entry = known[at] ?? lookFurther();
        if (entry === undefined) return;
        yield entry;
      }
    },
  };
}

function walkNotExcluded(tree: FileTree, root: string, exclude: Filter): Entry[] {
  const selected: Entry[] = [];
  const pending: Entry[] = [];
  const visit = (path: string, relative: string): void => {
    for (const [name, entry] of childrenOf(tree, path)) {
      const own = placeAt(entry, join(relative, name));
      if (!exclude(own.path)) selected.push(...pending.splice(0), own);
      else if (entry.type === "directory") pending.push(own);
      if (entry.type === "directory") visit(join(path, name), own.path);
      if (pending.at(-1) === own) pending.pop();
    }
  };
  visit(root, "");
  return selected;
}

/** The directory before the first wildcard has to be there, and a backslash in it stands for itself. */
function matchWildcard(tree: FileTree, pattern: string): string[] {
  const names = pattern.split("/");
  const first = names.findIndex((name) => hasWildcard(name));
  const base = resolvePath(tree, names.slice(0, first).join("/"), { followLast: true });
  if (base.entry === undefined) throw sourceMissing(pattern);
  if (base.entry.type !== "directory") return [];
  return names
    .slice(first)
    .reduce((paths, name) => paths.flatMap((path) => matchName(tree, path, name)), [base.path])
    .toSorted();
}

function matchName(tree: FileTree, path: string, pattern: string): string[] {
  const matches = createPathMatcher(pattern);
  return tree
    .list(path)
    .filter(matches)
    .map((name) => join(path, name));
}

/** `--parents`: the source is cut at its pivot `/./`; what is below the pivot keeps its directories. */
function selectWithParents(tree: FileTree, source: string, options: SelectOptions): readonly SelectedRoot[] {
  const pivot = source.indexOf("/./");
  const root = cleanPath(pivot < 0 ? "" : source.slice(0, pivot));
  const pattern = cleanPath(pivot < 0 ? source : source.slice(pivot + 3));
  const roots = hasWildcard(root) ? matchWildcard(tree, root) : [root];
  const exclude = createFilter(options.exclude);
  const isPlain = !hasWildcard(root) && !hasWildcard(pattern);
  if (isPlain && resolvePath(tree, join(root, pattern), { followLast: true }).entry === undefined)
    throw sourceMissing(join(root, pattern));
  return roots.map((path): SelectedRoot => {
    const base = resolvePath(tree, path, { followLast: true });
    if (base.entry === undefined) throw sourceMissing(path);
    const children =
      pattern === ""
        ? selectBelow(tree, base.path, exclude)
        : selectMatching(tree, { root: base.path, pattern, exclude });
    return { name: "", entry: base.entry, children, parents: true };
  });
}

interface MatchOptions {
  readonly root: string;
  readonly pattern: string;
  readonly exclude: Filter | undefined;
}

/** Entries below `root` that match the pattern or stand below a match, and the directories above these. */
function selectMatching(tree: FileTree, { root, pattern, exclude }: MatchOptions): Iterable<Entry> {
  const matcher = createIgnoreMatcher(parseDockerignore(pattern));
  return walkNotExcluded(tree, root, (path) => !matcher.matches(path).excluded || exclude?.(path) === true);
}

function join(directory: string, name: string): string {
  if (name === "") return directory;
  return directory === "" ? name : `${directory}/${name}`;
}
