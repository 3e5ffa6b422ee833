import { closeSync, openSync, readFileSync, readSync, type Stats, statSync } from "node:fs";

/** At most the first `limit` bytes of the file at `path`, at once. @throws the error of the system. */
export function readStart(path: string, limit: number): Buffer {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.allocUnsafe(limit);
    let length = 0;
    for (let read = -1; read !== 0 && length < limit; length += read)
      read = readSync(file, bytes, length, limit - length, null);
    return bytes.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

/** The file at `path`; undefined where there is none. @throws the error of the system. */
export function readOrAbsent(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** What stands at `path`; undefined where nothing does, or it can't be looked at. */
export function statOrAbsent(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
