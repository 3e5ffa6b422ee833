import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { link, mkdir, open, rename, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import type { Readable } from "node:stream";
import type { BlobWriter, IngestStore, Target, TransferOptions } from "./content.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, hexOf } from "./digest.ts";
import { OciError } from "./errors.ts";
import { openFileWriter, openNewFile } from "./file-writer.ts";
import type { ImageIndex } from "./image.ts";
import { MEDIA_TYPES } from "./media-types.ts";
import { blobUnknown } from "./memory-store.ts";
import { parseIndex } from "./parse-json.ts";
import { readOrAbsent, readStart, statOrAbsent } from "./small-file.ts";
import { streamContent, verifyContent } from "./verify-content.ts";

/** Annotation that names a descriptor in `index.json`. Image spec, annotations.md. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** Bytes that are read of a blob at a time. */
const CHUNK = 256 * 1024;
/** A blob of so many bytes, as a manifest is, is read at once: threads take longer to be asked than to read it. */
const SMALL = 64 * 1024;
/** The full image name, where the tool that wrote the layout knew it (containerd, BuildKit). */
const CONTAINERD_NAME = "io.containerd.image.name";
const LAYOUT_FILE = JSON.stringify({ imageLayoutVersion: "1.0.0" });
const EMPTY_INDEX: ImageIndex = { schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests: [] };

/** An OCI layout directory. */
export interface Layout extends IngestStore, Target {
  readonly path: string;
  /** The descriptors of `index.json`, in its order. */
  list(): Promise<readonly Descriptor[]>;
  /** Path of a blob's file, which may be absent. */
  blobPath(digest: Digest): string;
  /** Takes `tag` away from what it names; false where it names nothing. */
  untag(tag: string): Promise<boolean>;
  /** Lists a manifest or index that is in the layout, without a name, where it is not listed yet. */
  add(descriptor: Descriptor): Promise<void>;
  /** Takes a manifest or index, with all its names, from the list; false where it is not listed. Its content stays. */
  remove(digest: Digest): Promise<boolean>;
}

export interface LayoutOptions {
  /**
   * What the paths of files begin with that become blobs once they are whole; on the same file system. Default: hidden
   * files among the blobs.
   */
  readonly temporary?: string;
  /** Runs `change` while no other process changes `index.json`. Default: within this process only. */
  readonly lock?: <T>(change: () => Promise<T>) => Promise<T>;
}

/**
 * Opens the layout at `path`, which must hold one.
 * @throws OciError `LAYOUT_INVALID`.
 */
export async function openLayout(path: string, options: LayoutOptions = {}): Promise<Layout> {
  const lacking = (name: string, cause: unknown): OciError =>
    layoutInvalid(path, `there is no file "${name}" in it`, cause);
  const text = attempt(
    () => readFileSync(join(path, "oci-layout"), "utf8"),
    (cause) => lacking("oci-layout", cause),
  );
  if (!isVersionOne(text)) throw layoutInvalid(path, `its version is not 1; found ${text.trim().slice(0, 80)}`);
  attempt(
    () => accessSync(join(path, "index.json"), constants.R_OK),
    (cause) => lacking("index.json", cause),
  );
  return new DirectoryLayout(path, options);
}

/** What `task` gives; its error as `tell` tells it. */
function attempt<T>(task: () => T, tell: (cause: unknown) => unknown): T {
  try {
    return task();
  } catch (cause) {
    throw tell(cause);
  }
}

/** Opens the layout at `path`, and makes an empty one where there is none; safe where others do the same. */
export async function createLayout(path: string, options: LayoutOptions = {}): Promise<Layout> {
  const blobs = join(path, "blobs", "sha256");
  if (!existsSync(blobs)) await mkdir(blobs, { recursive: true });
  await createFile(join(path, "oci-layout"), LAYOUT_FILE);
  await createFile(join(path, "index.json"), JSON.stringify(EMPTY_INDEX));
  return new DirectoryLayout(path, options);
}

function isVersionOne(text: string): boolean {
  try {
    const { imageLayoutVersion } = JSON.parse(text) as { readonly imageLayoutVersion?: unknown };
    return typeof imageLayoutVersion === "string" && imageLayoutVersion.startsWith("1.");
  } catch {
    return false;
  }
}

function layoutInvalid(path: string, reason: string, cause?: unknown): OciError {
  return new OciError("LAYOUT_INVALID", `Cannot open OCI layout "${path}": ${reason}`, { cause });
}

class DirectoryLayout implements Layout {
  readonly path: string;
  readonly #options: LayoutOptions;

  constructor(path: string, options: LayoutOptions) {
    this.path = path;
    this.#options = options;
  }

  blobPath(digest: Digest): string {
    return join(this.path, "blobs", "sha256", hexOf(digest));
  }

  async exists(descriptor: Descriptor): Promise<boolean> {
    const found = statOrAbsent(this.blobPath(descriptor.digest));
    return found?.isFile() === true && found.size === descriptor.size;
  }

  fetch(descriptor: Descriptor, options: TransferOptions = {}): Readable {
    return streamContent(descriptor, () => this.#readBlob(descriptor, () => Buffer.allocUnsafe(CHUNK)), options);
  }

  read(descriptor: Descriptor, { signal }: TransferOptions = {}): AsyncIterable<Uint8Array> {
    if (descriptor.size <= SMALL) return verifyContent(descriptor, this.#readSmall(descriptor, signal));
    const buffers = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
    let next = 0;
    return verifyContent(
      descriptor,
      this.#readBlob(descriptor, () => buffers[(next ^= 1)]!, signal),
    );
  }

  /** One byte more than there should be, where there is one: whoever verifies must see it. */
  async *#readSmall(descriptor: Descriptor, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    signal?.throwIfAborted();
    const bytes = attempt(
      () => readStart(this.blobPath(descriptor.digest), descriptor.size + 1),
      (cause) => ((cause as NodeJS.ErrnoException).code === "ENOENT" ? blobUnknown(descriptor) : cause),
    );
    if (bytes.length > 0) yield bytes;
  }

  /** The blob's bytes, each time in the buffer that it is given; reads ahead by one while the last one is used. */
  async *#readBlob(descriptor: Descriptor, bufferOf: () => Buffer, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    signal?.throwIfAborted();
    await using file = await open(this.blobPath(descriptor.digest)).catch((cause: NodeJS.ErrnoException) => {
      throw cause.code === "ENOENT" ? blobUnknown(descriptor) : cause;
    });
    for (let ahead = file.read(bufferOf()); ;) {
      const { bytesRead, buffer } = await ahead;
      signal?.throwIfAborted();
      if (bytesRead === 0) return;
      ahead = file.read(bufferOf());
      ahead.catch(() => undefined);
      yield buffer.subarray(0, bytesRead);
    }
  }

  async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options: TransferOptions = {}): Promise<void> {
    if (await this.exists(expected)) return;
    const file = await openNewFile(await this.#temporaryPath());
    try {
      for await (const chunk of verifyContent(expected, content)) {
        options.signal?.throwIfAborted();
        await file.write(chunk);
      }
      await file.moveTo(this.blobPath(expected.digest));
    } finally {
      await file.abort();
    }
  }

  async openWriter(): Promise<BlobWriter> {
    return openFileWriter(await this.#temporaryPath(), (digest) => this.blobPath(digest));
  }

  async #temporaryPath(): Promise<string> {
    const start = this.#options.temporary ?? `${join(this.path, "blobs", "sha256")}/.`;
    const path = `${start}${randomUUID()}.partial`;
    if (!existsSync(dirname(path))) await mkdir(dirname(path), { recursive: true });
    return path;
  }

  async list(): Promise<readonly Descriptor[]> {
    return this.#readIndex().manifests;
  }

  async resolve(tag: string): Promise<Descriptor | undefined> {
    const manifests = await this.list();
    const found =
      manifests.find((each) => isNamed(each, tag)) ??
      manifests.find((each) => each.annotations?.[CONTAINERD_NAME] === tag);
    return found === undefined ? undefined : withoutName(found);
  }

  async tag(descriptor: Descriptor, tag: string): Promise<void> {
    if (!(await this.exists(descriptor))) throw blobUnknown(descriptor);
    if (this.#isWritten(descriptor, tag)) return;
    await this.#changeIndex((manifests) => [
      ...manifests.filter((each) => !isNamed(each, tag)),
      named(descriptor, tag),
    ]);
  }

  /** By the text of `index.json` first: of a thousand images, reading it as JSON takes longer than all else. */
  #isWritten(descriptor: Descriptor, tag: string): boolean {
    const text = readOrAbsent(join(this.path, "index.json"))?.toString() ?? "";
    const entry = JSON.stringify(named(descriptor, tag));
    if (!text.includes(entry)) return false;
    if (text.split(JSON.stringify(tag), 3).length === 2) return true;
    const present = this.#readIndex().manifests.filter((each) => isNamed(each, tag));
    return present.length === 1 && JSON.stringify(present[0]) === entry;
  }

  untag(tag: string): Promise<boolean> {
    return this.#removeWhere((each) => isNamed(each, tag));
  }

  async add(descriptor: Descriptor): Promise<void> {
    if (!(await this.exists(descriptor))) throw blobUnknown(descriptor);
    const isListed = ({ digest }: Descriptor): boolean => digest === descriptor.digest;
    if ((await this.list()).some(isListed)) return;
    await this.#changeIndex((manifests) =>
      manifests.some(isListed) ? manifests : [...manifests, withoutName(descriptor)],
    );
  }

  remove(digest: Digest): Promise<boolean> {
    return this.#removeWhere((each) => each.digest === digest);
  }

  async #removeWhere(isMeant: (descriptor: Descriptor) => boolean): Promise<boolean> {
    let found = false;
    await this.#changeIndex((manifests) => {
      found = manifests.some(isMeant);
      return manifests.filter((each) => !isMeant(each));
    });
    return found;
  }

  #readIndex(): ImageIndex {
    const bytes = readOrAbsent(join(this.path, "index.json"));
    if (bytes === undefined) return EMPTY_INDEX;
    return attempt(
      () => parseIndex(bytes),
      (cause) => layoutInvalid(this.path, "its index.json is damaged", cause),
    );
  }

  #changeIndex(change: (manifests: readonly Descriptor[]) => readonly Descriptor[]): Promise<void> {
    const path = join(this.path, "index.json");
    const lock = this.#options.lock ?? ((task) => task());
    return inTurn(path, () =>
      lock(async () => {
        const index = this.#readIndex();
        await replaceFile(path, JSON.stringify({ ...index, manifests: change(index.manifests) }));
      }),
    );
  }
}

/** The last change of each `index.json` that this process makes. */
const changes = new Map<string, Promise<void>>();

/** Runs `change` after those of the same file that were asked for before, in whatever layout object. */
async function inTurn(path: string, change: () => Promise<void>): Promise<void> {
  const key = resolve(path);
  const current = (changes.get(key) ?? Promise.resolve()).then(change);
  const settled = current.catch(() => undefined);
  changes.set(key, settled);
  try {
    await current;
  } finally {
    if (changes.get(key) === settled) changes.delete(key);
  }
}

function isNamed(descriptor: Descriptor, tag: string): boolean {
  return descriptor.annotations?.[REF_NAME] === tag;
}

function named(descriptor: Descriptor, tag: string): Descriptor {
  return { ...descriptor, annotations: { ...descriptor.annotations, [REF_NAME]: tag } };
}

function withoutName(descriptor: Descriptor): Descriptor {
  const { [REF_NAME]: _, [CONTAINERD_NAME]: __, ...annotations } = descriptor.annotations ?? {};
  const { annotations: ___, ...rest } = descriptor;
  return Object.keys(annotations).length === 0 ? rest : { ...rest, annotations };
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = await writeTemporary(path, text);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Makes the file, whole from the start, where there is none. */
async function createFile(path: string, text: string): Promise<void> {
  if (existsSync(path)) return;
  const temporary = await writeTemporary(path, text);
  try {
    await link(temporary, path);
  } catch (error) {
    // Some file systems have no hard links.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeTemporary(path: string, text: string): Promise<string> {
  const temporary = `${path}.${randomUUID()}`;
  const file = await open(temporary, "wx", 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return temporary;
}
