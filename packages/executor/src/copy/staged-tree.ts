import type { Digest } from "@varve/oci";
import { createDigester } from "@varve/oci";
import type { Entry, FileTree } from "@varve/layer";

/**
 * A base tree and what a copy writes on it, without touching either: lookups see the writes, and what was asked of
 * the base is remembered. That memory is the destination view: two bases that answer alike get the same layer.
 */
export interface StagedTree extends FileTree {
  /** Puts an entry at its path, in place of what stood there; a directory on a directory merges. */
  write(entry: Entry): void;
  /** True where this copy wrote at `path`. */
  isWritten(path: string): boolean;
  /** Adds a question that was not about a path, such as the id of a name, and its answer. */
  remember(question: string, answer: string): void;
  /** The layer: all that was written, and the directories above it as they stand. */
  entries(): readonly Entry[];
  /** Digest of all that was asked of the base, and its answers. */
  viewDigest(): Digest;
}

/** Characters that are digested at once. */
const VIEW_PIECE = 64 * 1024;

/** A staged tree on `base`. */
export function createStagedTree(base: FileTree): StagedTree {
  const written = new Map<string, Entry>();
  const asked = new Map<string, string>();
  const replaced = new Set<string>();
  /** What the base does not have, with a slash: nothing below it need be asked for, and most of a large copy is. */
  let absent: string | undefined;
  const lookup = (path: string): Entry | undefined => {
    const own = written.get(path);
    if (own !== undefined) return own;
    if (replaced.size > 0 && isBelow(path, replaced)) return undefined;
    if (absent !== undefined && path.startsWith(absent)) return undefined;
    const beneath = base.lookup(path);
    if (beneath === undefined) absent = `${path}/`;
    if (path !== "" && !asked.has(path)) asked.set(path, answerOf(beneath));
    return beneath;
  };
  return {
    lookup,
    list: (path) => [...new Set([...base.list(path), ...childNames(path, written)])].toSorted(),
    write(entry) {
      const before = lookup(entry.path);
      if (before?.type === "directory" && entry.type !== "directory") hideBelow(entry.path, { written, replaced });
      written.set(entry.path, entry);
    },
    isWritten: (path) => written.has(path),
    remember: (question, answer) => void asked.set(`?${question}`, answer),
    entries: () => withParents(written, lookup),
    viewDigest: () => digestView(asked),
  };
}

/** Of `["varve/view/2",["question","answer"],…]` as JSON, piece by piece: it may be long. */
function digestView(asked: ReadonlyMap<string, string>): Digest {
  const digester = createDigester();
  let text = '["varve/view/2"';
  for (const pair of asked) {
    text += `,${JSON.stringify(pair)}`;
    if (text.length < VIEW_PIECE) continue;
    digester.update(Buffer.from(text));
    text = "";
  }
  digester.update(Buffer.from(`${text}]`));
  return digester.digest();
}

/** What a copy can learn of a path: absent, a directory with its attributes, a link with its target, another type. */
function answerOf(entry: Entry | undefined): string {
  if (entry === undefined) return "absent";
  if (entry.type === "symlink") return `symlink ${entry.linkname ?? ""}`;
  if (entry.type !== "directory") return entry.type;
  const xattrs = Object.entries(entry.xattrs ?? {}).map(
    ([name, value]) => `${name}=${Buffer.from(value).toString("hex")}`,
  );
  return ["directory", entry.mode.toString(8), entry.uid, entry.gid, ...xattrs.toSorted()].join(" ");
}

function isBelow(path: string, roots: ReadonlySet<string>): boolean {
  for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
    if (roots.has(path.slice(0, slash))) return true;
  }
  return false;
}

function hideBelow(
  path: string,
  state: { readonly written: Map<string, Entry>; readonly replaced: Set<string> },
): void {
  state.replaced.add(path);
  for (const other of state.written.keys()) if (other.startsWith(`${path}/`)) state.written.delete(other);
}

function childNames(path: string, written: ReadonlyMap<string, Entry>): string[] {
  const prefix = path === "" ? "" : `${path}/`;
  return [...written.keys()]
    .filter((other) => other.startsWith(prefix) && other !== path && !other.slice(prefix.length).includes("/"))
    .map((other) => other.slice(prefix.length));
}

function withParents(written: ReadonlyMap<string, Entry>, lookup: FileTree["lookup"]): readonly Entry[] {
  const parents = new Map<string, Entry>();
  for (const path of written.keys()) {
    for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
      const parent = path.slice(0, slash);
      if (written.has(parent) || parents.has(parent)) break;
      const entry = lookup(parent);
      if (entry !== undefined) parents.set(parent, entry);
    }
  }
  return [...parents.values(), ...written.values()].filter((entry) => entry.path !== "");
}
