import { lstatSync, mkdirSync, readlinkSync, type Stats } from "node:fs";
import { LayerError } from "./errors.ts";
import { corrupt } from "./read-header.ts";

const mostLinks = 255;

/** What is told when a path is resolved: a directory was made; something that is none, and no link, is in the way. */
export interface PathEvents {
  made(path: string): void;
  /** True where it made a directory of it. */
  blocked(path: string): boolean;
}

/**
 * Resolves paths within a directory that nobody else writes to, as if it were the root of the file system: symlinks
 * among the parents are followed inside of it and never leave it. Directories that are absent are made.
 */
export class RootPaths {
  readonly root: string;
  readonly #events: PathEvents;
  /** Directories by path, links within the path resolved. */
  readonly #known = new Map<string, string>([["", ""]]);

  constructor(root: string, events: PathEvents) {
    this.root = root;
    this.#events = events;
  }

  /** The path of an entry, with its parents resolved; its last name stays as it is. */
  settle(path: string): string {
    const slash = path.lastIndexOf("/");
    return slash < 0 ? path : joinPath(this.resolve(path.slice(0, slash)), path.slice(slash + 1));
  }

  /** The path of a directory. @throws LayerError `LINK_LOOP`, `ARCHIVE_CORRUPT` where a part is no directory. */
  resolve(path: string, links = 0): string {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf("/");
    const parent = slash < 0 ? "" : this.resolve(path.slice(0, slash), links);
    const resolved = this.#enter(joinPath(parent, path.slice(slash + 1)), links);
    this.#known.set(path, resolved);
    return resolved;
  }

  /** Says that a directory stands at a resolved path. */
  remember(path: string): void {
    this.#known.set(path, path);
  }

  /** Says that something was removed. */
  forget(): void {
    this.#known.clear();
    this.#known.set("", "");
  }

  isDirectory(path: string): boolean {
    return this.#known.get(path) === path || this.look(path)?.isDirectory() === true;
  }

  /** What stands at a resolved path, if anything does. */
  look(path: string): Stats | undefined {
    return lstatSync(this.at(path), { throwIfNoEntry: false });
  }

  /** Where a resolved path is on this machine. */
  at(path: string): string {
    return path === "" ? this.root : `${this.root}/${path}`;
  }

  #enter(path: string, links: number): string {
    const stats = this.look(path);
    if (stats?.isSymbolicLink() === true) return this.#follow(path, links + 1);
    if (stats === undefined) {
      mkdirSync(this.at(path), 0o700);
      this.#events.made(path);
    } else if (!stats.isDirectory() && !this.#events.blocked(path)) {
      throw corrupt(`"${path}" is used as a directory and is none`);
    }
    return path;
  }

  #follow(path: string, links: number): string {
    if (links > mostLinks) {
      throw new LayerError("LINK_LOOP", `Cannot resolve "${path}": more than ${mostLinks} symlinks on the way`, {
        path,
      });
    }
    const target = readlinkSync(this.at(path));
    let directory = target.startsWith("/") ? "" : parentPath(path);
    for (const part of target.split("/")) {
      if (part === "..") directory = parentPath(directory);
      else if (part !== "" && part !== ".") directory = this.#enter(joinPath(directory, part), links);
    }
    return directory;
  }
}

/** The path of a name in a directory, in the form of `Entry.path`. */
export function joinPath(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

/** The directory that holds `path`, in the form of `Entry.path`; that of the root is the root. */
export function parentPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
