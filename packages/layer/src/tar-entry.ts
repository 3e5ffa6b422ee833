import type { Entry, EntryType } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { corrupt, type TarHeader } from "./read-header.ts";

const types: ReadonlyMap<string, EntryType> = new Map([
  ["0", "file"],
  ["1", "hardlink"],
  ["2", "symlink"],
  ["3", "char-device"],
  ["4", "block-device"],
  ["5", "directory"],
  ["6", "fifo"],
]);

/** Whether names that start with ".wh." are whiteouts, as in a layer, or names like any other. */
export type WhiteoutNames = "read" | "keep";

/**
 * The entry that a tar member is; undefined for members that are none (volume labels, AUFS' own files).
 * @throws LayerError `PATH_ESCAPE` where its path or hard link has "..", `ARCHIVE_CORRUPT` where it has no sense.
 */
export function toEntry(header: TarHeader, whiteouts: WhiteoutNames): Entry | undefined {
  const type = typeOf(header);
  if (type === undefined) return undefined;
  const entry: Entry = {
    path: normalizePath(header.name),
    type,
    mode: header.mode,
    uid: header.uid,
    gid: header.gid,
    size: type === "file" ? header.size : 0,
    mtime: header.mtime,
    ...(type === "symlink" && { linkname: header.linkname }),
    ...(type === "hardlink" && { linkname: normalizePath(header.linkname) }),
    ...(type.endsWith("-device") && { device: header.device }),
    ...(header.xattrs && { xattrs: header.xattrs }),
  };
  if (entry.path === "" && type !== "directory") throw corrupt(`"${header.name}" is no path`);
  return whiteouts === "read" ? readWhiteout(entry) : entry;
}

/**
 * A path of an archive relative to its root, without "." and empty parts; an absolute one starts at the root.
 * @throws LayerError `PATH_ESCAPE` where a part is "..", `ENTRY_UNSUPPORTED` where one has more than 255 bytes.
 */
function normalizePath(name: string): string {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) {
    throw new LayerError("PATH_ESCAPE", `Cannot take "${name}" from an archive: its path leaves the root`, {
      path: name,
    });
  }
  if (parts.some((part) => part.length > 85 && Buffer.byteLength(part) > 255)) {
    throw new LayerError("ENTRY_UNSUPPORTED", `Cannot take "${name}" from an archive: a name in it exceeds 255 bytes`, {
      path: name,
    });
  }
  return parts.join("/");
}

/** A file whose name ends with "/" was a directory before tar had a type for it. */
function typeOf(header: TarHeader): EntryType | undefined {
  const type = types.get(header.flag);
  return type === "file" && header.name.endsWith("/") ? "directory" : type;
}

/** Image spec, layer.md, "Whiteouts". Other names that start with ".wh..wh." are AUFS' own. */
function readWhiteout(entry: Entry): Entry | undefined {
  const nameAt = entry.path.lastIndexOf("/") + 1;
  if (!entry.path.startsWith(".wh.", nameAt)) return entry;
  const name = entry.path.slice(nameAt + 4);
  const { linkname: _linkname, device: _device, xattrs: _xattrs, ...rest } = entry;
  if (name === ".wh..opq")
    return { ...rest, path: entry.path.slice(0, Math.max(0, nameAt - 1)), type: "opaque", size: 0 };
  if (name.startsWith(".wh.")) return undefined;
  if (name === "" || name === "." || name === "..") throw corrupt(`"${entry.path}" whites out nothing`);
  return { ...rest, path: entry.path.slice(0, nameAt) + name, type: "whiteout", size: 0 };
}
