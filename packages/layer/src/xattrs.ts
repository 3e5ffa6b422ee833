import { LayerError } from "./errors.ts";
import { lgetxattr, llistxattr, lsetxattr } from "./libc.ts";

const ours = /^(?:security\.capability$|user\.|trusted\.|system\.posix_acl_)/;
const overlays = /^(?:user|trusted)\.overlay\./;

/**
 * True for the xattrs that belong to an image: file capabilities, POSIX ACLs, the user's and the administrator's.
 * What describes the machine (SELinux labels, IMA, EVM) and overlayfs' own bookkeeping do not.
 */
function isLayerXattr(name: string): boolean {
  return ours.test(name) && !overlays.test(name);
}

/** The xattrs of `path` itself that belong to an image; undefined where there are none. */
export function readXattrs(path: string): Readonly<Record<string, Uint8Array>> | undefined {
  return pickXattrs(path, xattrNames(path));
}

/** Those xattrs among `names`, as `xattrNames` gave them, that belong to an image. */
export function pickXattrs(path: string, names: readonly string[]): Readonly<Record<string, Uint8Array>> | undefined {
  const found = names.filter(isLayerXattr).flatMap((name) => {
    const value = lgetxattr(path, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

/** Names of all xattrs of `path` itself; none where the file system has no such thing. */
export function xattrNames(path: string): readonly string[] {
  try {
    return llistxattr(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTSUP") return [];
    throw error;
  }
}

/**
 * Sets those xattrs that belong to an image on `path` itself; the others are left out, for an archive must not steer
 * overlayfs. What the file system or the user namespace can't hold is left out as well, file capabilities excepted.
 * @throws LayerError `PERMISSION_MISSING` where file capabilities can't be set.
 */
export function writeXattrs(path: string, xattrs: Readonly<Record<string, Uint8Array>>): void {
  for (const [name, value] of Object.entries(xattrs)) {
    if (isLayerXattr(name)) writeXattr(path, name, value);
  }
}

function writeXattr(path: string, name: string, value: Uint8Array): void {
  try {
    lsetxattr(path, name, value);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isBearable = code === "ENOTSUP" || code === "EPERM";
    if (isBearable && name !== "security.capability") return;
    throw new LayerError("PERMISSION_MISSING", `Cannot set attribute "${name}" of "${path}": ${message}`, {
      path,
      hint: "Run as root or in a user namespace, with the store on a file system that has extended attributes",
      cause: error,
    });
  }
}
