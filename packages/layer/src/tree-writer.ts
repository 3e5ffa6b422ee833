import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import type { Entry } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { futimens, lsetxattr, lutimens, mknod } from "./libc.ts";
import { corrupt } from "./read-header.ts";
import { joinPath, parentPath, RootPaths } from "./root-paths.ts";
import { writeXattrs } from "./xattrs.ts";

/** How overlayfs is told of whiteouts; "none": not at all. "user" is for mounts with `userxattr`, in a user namespace. */
export type OverlayForm = "trusted" | "user" | "none";

/** What the directory is: one layer for itself, with whiteouts for overlayfs, or a tree that a layer is applied to. */
export type WriteForm = OverlayForm | "apply";

const second = 1_000_000_000n;
const kinds = { "char-device": 0o020000, "block-device": 0o060000, fifo: 0o010000 } as const;
const whiteoutDevice = { major: 0, minor: 0 } as const;

/**
 * Writes entries into a directory that nobody else writes to, and never outside of it. What stands at an entry's path
 * makes way for it, save that directories merge. A symlink among the parents is followed as if the directory were the
 * root of the file system, as containerd does. Directories get owner, mode, xattrs and times by `finish`.
 */
export class TreeWriter implements Disposable {
  readonly #paths: RootPaths;
  readonly #form: WriteForm;
  readonly #directories = new Map<string, Entry>();
  readonly #placed = new Set<string>([""]);
  readonly #whitedOut = new Set<string>();
  readonly #isOwn: (entry: Entry) => boolean;
  #file: { readonly descriptor: number; readonly entry: Entry; end: number } | undefined;

  constructor(root: string, form: WriteForm) {
    this.#form = form;
    this.#paths = new RootPaths(root, {
      made: (path) => this.#directories.set(path, impliedDirectory(path)),
      blocked: (path) => this.#reopen(path),
    });
    // A directory with its set-group-ID bit gives its group to what is made in it.
    const isGroupInherited = form === "apply" || (lstatSync(root).mode & 0o2000) !== 0;
    const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
    this.#isOwn = (entry) => !isGroupInherited && entry.uid === uid && entry.gid === gid;
  }

  /**
   * Places an entry; the bytes of a file follow by `write`, then `close`. Gives the entry with the path at which it
   * stands, links among its parents resolved. Of a file with `source`, the bytes are those of that file.
   */
  place(entry: Entry, source?: string): Entry {
    const path = this.#paths.settle(entry.path);
    const placed = path === entry.path ? entry : { ...entry, path };
    this.#place(placed, source);
    for (let at = path; !this.#placed.has(at); at = parentPath(at)) this.#placed.add(at);
    return placed;
  }

  /** Writes bytes of the file that was placed last. */
  write(chunk: Uint8Array, position: number): void {
    if (this.#file === undefined) return;
    for (let done = 0; done < chunk.length;) {
      done += writeSync(this.#file.descriptor, chunk, done, chunk.length - done, position + done);
    }
    this.#file.end = position + chunk.length;
  }

  /** Completes the file that was placed last: its length, owner, mode, xattrs and times. */
  close(): void {
    if (this.#file === undefined) return;
    const { descriptor, entry, end } = this.#file;
    if (end < entry.size) ftruncateSync(descriptor, entry.size);
    if (!this.#isOwn(entry)) own(entry, () => fchownSync(descriptor, entry.uid, entry.gid));
    fchmodSync(descriptor, entry.mode);
    if (entry.xattrs !== undefined) writeXattrs(this.#paths.at(entry.path), entry.xattrs);
    if (entry.mtime % second !== 0n) futimens(descriptor, entry.mtime);
    else futimesSync(descriptor, Number(entry.mtime / second), Number(entry.mtime / second));
    this.#file = undefined;
    closeSync(descriptor);
  }

  /** Hides or removes what lower layers have at a path. Gives the path, links among its parents resolved. */
  whiteOut(path: string): string {
    const settled = this.#paths.settle(path);
    this.#whitedOut.add(settled);
    if (this.#form === "apply") this.#removeOlder(settled);
    else if (this.#placed.has(settled)) this.#hideBeneath(settled);
    else if (this.#form !== "none")
      this.#replace(settled, () => this.#makeNode(settled, kinds["char-device"], whiteoutDevice));
    return settled;
  }

  /** Hides or removes all that lower layers have in a directory. Gives its path, links resolved. */
  makeOpaque(path: string): string {
    const settled = this.#paths.resolve(path);
    if (this.#form !== "apply") this.#hideBeneath(settled);
    else for (const name of readdirSync(this.#paths.at(settled))) this.#removeOlder(joinPath(settled, name));
    return settled;
  }

  /** Sets what directories were said to have, from the deepest up. */
  finish(): void {
    const deepestFirst = [...this.#directories].sort(([a], [b]) => (a < b ? 1 : -1));
    for (const [path, entry] of deepestFirst) {
      const at = this.#paths.at(path);
      own(entry, () => chownSync(at, entry.uid, entry.gid));
      chmodSync(at, entry.mode);
      if (entry.xattrs !== undefined) writeXattrs(at, entry.xattrs);
      setTime(at, entry);
    }
    this.#directories.clear();
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file.descriptor);
    this.#file = undefined;
  }

  #place(entry: Entry, source: string | undefined): void {
    switch (entry.type) {
      case "directory":
        return this.#placeDirectory(entry);
      case "file":
        return this.#replace(entry.path, () => this.#open(entry, source));
      case "symlink":
        this.#replace(entry.path, () => symlinkSync(entry.linkname ?? "", this.#paths.at(entry.path)));
        return this.#dress(entry);
      case "hardlink":
        return this.#link(entry);
      case "char-device":
      case "block-device":
      case "fifo":
        return this.#placeNode(entry, kinds[entry.type]);
      case "whiteout":
      case "opaque":
        return undefined;
      default:
        return entry.type satisfies never;
    }
  }

  #placeDirectory(entry: Entry): void {
    const { path } = entry;
    if (path !== "" && !this.#paths.isDirectory(path)) {
      this.#replace(path, () => mkdirSync(this.#paths.at(path), 0o700));
      this.#paths.remember(path);
      if (this.#whitedOut.has(path)) this.#hideBeneath(path);
    }
    this.#directories.set(path, entry);
  }

  #open(entry: Entry, source: string | undefined): void {
    const at = this.#paths.at(entry.path);
    const made = source === undefined ? constants.O_CREAT | constants.O_EXCL : 0;
    if (source !== undefined) copyFileSync(source, at, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const descriptor = openSync(at, constants.O_WRONLY | constants.O_NOFOLLOW | made, 0o600);
    this.#file = { descriptor, entry, end: source === undefined ? 0 : entry.size };
  }

  #link(entry: Entry): void {
    const target = this.#paths.settle(entry.linkname ?? "");
    if (target === entry.path || this.#paths.look(target)?.isDirectory() !== false) {
      throw corrupt(`"${entry.path}" is a hard link to "${target}", which is no other file of the archive`);
    }
    this.#replace(entry.path, () => linkSync(this.#paths.at(target), this.#paths.at(entry.path)));
  }

  #placeNode(entry: Entry, kind: number): void {
    this.#replace(entry.path, () => this.#makeNode(entry.path, kind, entry.device ?? whiteoutDevice));
    this.#dress(entry);
    chmodSync(this.#paths.at(entry.path), entry.mode);
  }

  #makeNode(path: string, kind: number, device: { readonly major: number; readonly minor: number }): void {
    elevated(path, "a device node", () => mknod(this.#paths.at(path), kind | 0o600, device));
  }

  /** Owner, xattrs and time of what is no file and no directory. */
  #dress(entry: Entry): void {
    const at = this.#paths.at(entry.path);
    if (!this.#isOwn(entry)) own(entry, () => lchownSync(at, entry.uid, entry.gid));
    if (entry.xattrs !== undefined) writeXattrs(at, entry.xattrs);
    setTime(at, entry);
  }

  /** Runs `make`, which must not overwrite; where something stands in its way, that is removed first. */
  #replace(path: string, make: () => void): void {
    try {
      make();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      this.#clear(path);
      make();
    }
  }

  #clear(path: string): void {
    rmSync(this.#paths.at(path), { recursive: true, force: true });
    this.#paths.forget();
    for (const known of this.#directories.keys()) {
      if (known === path || known.startsWith(`${path}/`)) this.#directories.delete(known);
    }
  }

  #removeOlder(path: string): void {
    if (!this.#placed.has(path)) return this.#clear(path);
    if (this.#paths.look(path)?.isDirectory() !== true) return;
    for (const name of readdirSync(this.#paths.at(path))) this.#removeOlder(joinPath(path, name));
  }

  /** A whiteout of this layer that turns out to hold entries becomes a directory that hides what is beneath. */
  #reopen(path: string): boolean {
    if (!this.#whitedOut.has(path) || this.#placed.has(path)) return false;
    this.#clear(path);
    mkdirSync(this.#paths.at(path), 0o700);
    this.#directories.set(path, impliedDirectory(path));
    this.#hideBeneath(path);
    return true;
  }

  #hideBeneath(path: string): void {
    if (this.#form === "none" || this.#form === "apply" || !this.#paths.isDirectory(path)) return;
    const name = `${this.#form}.overlay.opaque`;
    elevated(path, `attribute "${name}"`, () => lsetxattr(this.#paths.at(path), name, Buffer.from("y")));
  }
}

/** A directory that an archive names only as the parent of something. */
export function impliedDirectory(path: string): Entry {
  return { path, type: "directory", mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0n };
}

function setTime(at: string, entry: Entry): void {
  const seconds = Number(entry.mtime / second);
  if (entry.mtime % second === 0n) lutimesSync(at, seconds, seconds);
  else lutimens(at, entry.mtime);
}

function own(entry: Entry, change: () => void): void {
  elevated(entry.path, `owner ${entry.uid}:${entry.gid}`, change);
}

function elevated(path: string, what: string, make: () => void): void {
  try {
    make();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EPERM" && code !== "EINVAL") throw error;
    throw new LayerError("PERMISSION_MISSING", `Cannot give "${path}" ${what}: ${message}`, {
      path,
      hint: "Run as root, or in a user namespace that maps enough ids (newuidmap, /etc/subuid)",
      cause: error,
    });
  }
}
