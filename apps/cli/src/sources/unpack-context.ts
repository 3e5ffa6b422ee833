import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { detectArchive, type Entry, indexArchive, writeTree } from "@varve/layer";
import { UsageError } from "../errors.ts";

/**
 * Unpacks a tar, plain or compressed by gzip, bzip2, xz or zstd, below `scratch` as a build context; undefined for a
 * file that is none. `name` is what messages call it.
 * @throws UsageError for a compressed file that holds no tar; LayerError.
 */
export async function unpackContext(
  file: string,
  { scratch, name }: { readonly scratch: string; readonly name: string },
): Promise<string | undefined> {
  if (detectArchive(await firstBytes(file)) === undefined) return undefined;
  const directory = join(scratch, "context");
  await using archive = await indexArchive(file, { directory: join(scratch, "spool") });
  if (archive === undefined)
    throw new UsageError(`Cannot build: ${name} is compressed, and holds neither a tar nor a Dockerfile`);
  await mkdir(directory);
  await writeTree([ROOT, ...archive.entries.flatMap(asContext)], directory);
  return directory;
}

async function firstBytes(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

const OWNER = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const ROOT: Entry = { path: "", type: "directory", mode: 0o755, ...OWNER, size: 0, mtime: 0n };

/** All of a context belongs to root in the image, so here it may belong to whoever builds; devices mean nothing. */
function asContext(entry: Entry): readonly Entry[] {
  if (entry.type === "char-device" || entry.type === "block-device") return [];
  return [{ ...entry, ...OWNER }];
}
