import { createReadStream, existsSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { BlobWriter, IngestStore, Target, TransferOptions } from "./content.ts";
import type { Descriptor } from "./descriptor.ts";
import { createDigester, type Digest, hexOf } from "./digest.ts";
import { OciError } from "./errors.ts";
import type { ImageIndex } from "./image.ts";
import { MEDIA_TYPES } from "./media-types.ts";
import { blobUnknown } from "./memory-store.ts";
import { parseIndex } from "./parse-json.ts";
import { verifyContent } from "./verify-content.ts";

/** Annotation that names a descriptor in `index.json`. Image spec, annotations.md. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** The full image name, where the tool that wrote the layout knew it (containerd, BuildKit). */
const CONTAINERD_NAME = "io.containerd.image.name";
const LAYOUT_FILE = JSON.stringify({ imageLayoutVersion: "1.0.0" });

/** An OCI layout directory. */
export interface Layout extends IngestStore, Target {
  readonly path: string;
  /** The descriptors of `index.json`, in its order. */
  list(): Promise<readonly Descriptor[]>;
  /** Path of a blob's file, which may be absent. */
  blobPath(digest: Digest): string;
  /** Takes `tag` away from what it names; false where it names nothing. */
  untag(tag: string): Promise<boolean>;
}

export interface LayoutOptions {
  /** Where blobs are written before they are renamed; on the same file system. Default: `blobs` itself. */
  readonly temporary?: string;
  /** Runs `change` while no other process changes `index.json`. Default: within this process only. */
  readonly lock?: <T>(change: () => Promise<T>) => Promise<T>;
}

/**
 * Opens the layout at `path`, which must hold one.
 * @throws OciError `LAYOUT_INVALID`.
 */
export async function openLayout(path: string, options: LayoutOptions = {}): Promise<Layout> {
  const text = await readFile(join(path, "oci-layout"), "utf8").catch((cause: unknown) => {
    throw new OciError("LAYOUT_INVALID", `Cannot open OCI layout "${path}": there is no file "oci-layout" in it`, {
      cause,
    });
  });
  if (!/"imageLayoutVersion"\s*:\s*"1\./.test(text)) {
    throw new OciError(
      "LAYOUT_INVALID",
      `Cannot open OCI layout "${path}": its version is not 1; found ${text.trim().slice(0, 80)}`,
    );
  }
  return new DirectoryLayout(path, options);
}

/** Opens the layout at `path`, and makes an empty one where there is none. */
export async function createLayout(path: string, options: LayoutOptions = {}): Promise<Layout> {
  await mkdir(join(path, "blobs", "sha256"), { recursive: true });
  if (!existsSync(join(path, "oci-layout"))) await writeFile(join(path, "oci-layout"), LAYOUT_FILE);
  return new DirectoryLayout(path, options);
}

class DirectoryLayout implements Layout {
  readonly path: string;
  readonly #options: LayoutOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string, options: LayoutOptions) {
    this.path = path;
    this.#options = options;
  }

  blobPath(digest: Digest): string {
    return join(this.path, "blobs", "sha256", hexOf(digest));
  }

  async exists(descriptor: Descriptor): Promise<boolean> {
    const found = await stat(this.blobPath(descriptor.digest)).catch(() => undefined);
    return found?.isFile() === true && found.size === descriptor.size;
  }

  fetch(descriptor: Descriptor, options: TransferOptions = {}): Readable {
    const content = verifyContent(descriptor, readBlob(this.blobPath(descriptor.digest), descriptor));
    return Readable.from(content, {
      objectMode: false,
      highWaterMark: 1024 * 1024,
      ...(options.signal && { signal: options.signal }),
    });
  }

  async push(expected: Descriptor, content: AsyncIterable<Uint8Array>, options: TransferOptions = {}): Promise<void> {
    if (await this.exists(expected)) return;
    const writer = await this.openWriter();
    try {
      for await (const chunk of verifyContent(expected, content)) {
        options.signal?.throwIfAborted();
        await writer.write(chunk);
      }
      await writer.commit();
    } finally {
      await writer.abort();
    }
  }

  async openWriter(): Promise<BlobWriter> {
    const directory = this.#options.temporary ?? join(this.path, "blobs", "sha256");
    await mkdir(directory, { recursive: true });
    return openFileWriter(join(directory, `.${randomUUID()}.partial`), (digest) => this.blobPath(digest));
  }

  async list(): Promise<readonly Descriptor[]> {
    return (await this.#readIndex()).manifests;
  }

  async resolve(tag: string): Promise<Descriptor | undefined> {
    const manifests = await this.list();
    const found = manifests.find(
      (each) => each.annotations?.[REF_NAME] === tag || each.annotations?.[CONTAINERD_NAME] === tag,
    );
    return found === undefined ? undefined : withoutName(found);
  }

  async tag(descriptor: Descriptor, tag: string): Promise<void> {
    if (!(await this.exists(descriptor))) throw blobUnknown(descriptor);
    await this.#changeIndex((manifests) => [
      ...manifests.filter((each) => !isNamed(each, tag)),
      named(descriptor, tag),
    ]);
  }

  async untag(tag: string): Promise<boolean> {
    let found = false;
    await this.#changeIndex((manifests) => {
      found = manifests.some((each) => isNamed(each, tag));
      return manifests.filter((each) => !isNamed(each, tag));
    });
    return found;
  }

  async #readIndex(): Promise<ImageIndex> {
    const file = join(this.path, "index.json");
    const bytes = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return undefined;
      throw cause;
    });
    if (bytes === undefined) return { schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests: [] };
    try {
      return parseIndex(bytes);
    } catch (cause) {
      throw new OciError("LAYOUT_INVALID", `Cannot open OCI layout "${this.path}": its index.json is damaged`, {
        cause,
      });
    }
  }

  async #changeIndex(change: (manifests: readonly Descriptor[]) => readonly Descriptor[]): Promise<void> {
    const lock = this.#options.lock ?? ((task) => task());
    const run = async (): Promise<void> => {
      const index = await this.#readIndex();
      await replaceFile(
        join(this.path, "index.json"),
        JSON.stringify({ ...index, manifests: change(index.manifests) }),
      );
    };
    const previous = this.#last;
    const current = previous.then(() => lock(run));
    this.#last = current.catch(() => undefined);
    await current;
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

async function* readBlob(path: string, descriptor: Descriptor): AsyncGenerator<Uint8Array> {
  if (!existsSync(path)) throw blobUnknown(descriptor);
  yield* createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Uint8Array>;
}

/** Writes to `temporary`; a commit moves the file to where `place` says that its digest belongs. */
async function openFileWriter(temporary: string, place: (digest: Digest) => string): Promise<BlobWriter> {
  const file = await open(temporary, "wx", 0o644);
  const digester = createDigester();
  let size = 0;
  let open_ = true;
  const close = async (): Promise<void> => {
    if (open_) await file.close();
    open_ = false;
  };
  return {
    async write(chunk) {
      digester.update(chunk);
      size += chunk.length;
      for (let offset = 0; offset < chunk.length;) offset += (await file.write(chunk, offset)).bytesWritten;
    },
    async commit() {
      await file.sync();
      await close();
      const digest = digester.digest();
      await rename(temporary, place(digest));
      return { digest, size };
    },
    async abort() {
      await close();
      await rm(temporary, { force: true });
    },
  };
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  const file = await open(temporary, "wx", 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
