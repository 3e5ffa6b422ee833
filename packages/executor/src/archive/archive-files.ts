import { createReadStream, existsSync } from "node:fs";
import { posix } from "node:path";
import { type Entry, indexArchive } from "@varve/layer";
import { OciError } from "@varve/oci";

/** A file in an archive: a stretch of a file of this machine. */
export interface ArchiveFile {
  readonly path: string;
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
}

/** The files of an archive by their paths in it, links followed. */
export interface ArchiveFiles extends AsyncDisposable {
  readonly names: readonly string[];
  find(name: string): ArchiveFile | undefined;
}

/** More than any JSON of an image: bytes. */
const LIMIT = 64 * 1024 * 1024;
const MOST_LINKS = 16;

/**
 * Opens a tar, plain or compressed by gzip, bzip2, xz or zstd. What is compressed is unpacked into directory `scratch`.
 * @throws OciError `LAYOUT_INVALID` where it is absent or no tar; LayerError `ARCHIVE_CORRUPT`.
 */
export async function openArchiveFiles(
  path: string,
  { scratch, signal }: { readonly scratch: string; readonly signal: AbortSignal },
): Promise<ArchiveFiles> {
  if (!existsSync(path)) throw archiveInvalid(path, "there is no such file");
  const archive = await indexArchive(path, { directory: scratch, signal });
  if (archive === undefined) throw archiveInvalid(path, "it is no tar, nor a compressed one");
  const entries = new Map(archive.entries.map((entry) => [entry.path, entry]));
  return {
    names: [...entries.keys()],
    find: (name) => findFile(entries, name),
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  };
}

/** The error for an archive that can't be used as one of images. */
export function archiveInvalid(path: string, reason: string, cause?: unknown): OciError {
  return new OciError("LAYOUT_INVALID", `Cannot use image archive "${path}": ${reason}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "Wanted is what docker save, skopeo copy or varve save write",
  });
}

/** Docker's older archives write a layer that stands twice once, and link to it. */
function findFile(entries: ReadonlyMap<string, Entry>, name: string): ArchiveFile | undefined {
  let entry = entries.get(posix.normalize(name));
  for (let links = 0; entry !== undefined && entry.linkname !== undefined && links < MOST_LINKS; links += 1) {
    const { linkname, type } = entry;
    entry = entries.get(type === "hardlink" ? linkname : posix.join(posix.dirname(entry.path), linkname));
  }
  const content = entry?.content;
  if (entry?.type !== "file" || content === undefined || !("path" in content)) return undefined;
  return { path: content.path, offset: content.offset ?? 0, size: entry.size };
}

/** The bytes of a file. */
export async function* readArchiveFile({ path, offset, size }: ArchiveFile): AsyncGenerator<Buffer> {
  if (size === 0) return;
  yield* createReadStream(path, {
    start: offset,
    end: offset + size - 1,
    highWaterMark: 1024 * 1024,
  }) as AsyncIterable<Buffer>;
}

/** A file of the archive `archive` as JSON. @throws OciError `LAYOUT_INVALID` */
export async function readArchiveJson(
  files: ArchiveFiles,
  { archive, name }: { readonly archive: string; readonly name: string },
): Promise<{ readonly value: unknown; readonly bytes: Buffer }> {
  const file = files.find(name);
  if (file === undefined) throw archiveInvalid(archive, `it has no file "${name}"`);
  if (file.size > LIMIT) throw archiveInvalid(archive, `its file "${name}" is too long`);
  const chunks: Buffer[] = [];
  for await (const chunk of readArchiveFile(file)) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  try {
    return { value: JSON.parse(bytes.toString("utf8")) as unknown, bytes };
  } catch (cause) {
    throw archiveInvalid(archive, `its file "${name}" is no JSON`, cause);
  }
}
