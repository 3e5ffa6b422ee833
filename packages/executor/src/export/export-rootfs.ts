import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { PassThrough } from "node:stream";
import { type Entry, packLayer, walkTree, writeTree } from "@varve/layer";
import { type BlobWriter, createMemoryStore, digestOf, formatPlatform, type IngestStore } from "@varve/oci";
import type { BuiltImage } from "../build.ts";
import { StepError } from "../errors.ts";
import { openImageTree } from "../image-tree.ts";
import { linkEntries } from "../link-entries.ts";
import type { BuildOptions } from "../session.ts";
import { exportError } from "./write-file.ts";

/** How the files of several images come together. */
export interface RootfsExportOptions {
  readonly build: BuildOptions;
  /**
   * Each image in a directory named for its platform (`linux_arm64`), or all in one; undefined: in directories where
   * there are several. As BuildKit's `platform-split`.
   */
  readonly split: boolean | undefined;
}

const SET_USER_ID = 0o4000;
const SET_GROUP_ID = 0o2000;

/**
 * Writes the images' file systems into directory `path`. A new directory appears whole or not at all; into one that is
 * there, files are written over. As with BuildKit all belongs to the user who builds, and with an epoch is dated so.
 * @throws StepError `EXPORT_FAILED`; LayerError where this user can't make a file, such as a device.
 */
export async function exportLocal(
  images: readonly BuiltImage[],
  path: string,
  options: RootfsExportOptions,
): Promise<void> {
  const target = resolve(path);
  const entries = (await rootfsEntries(images, options)).map(ownedByUser);
  try {
    await writeDirectory(entries, target, options.build.signal);
  } catch (cause) {
    throw exportError(path, cause);
  }
}

async function writeDirectory(entries: readonly Entry[], target: string, signal: AbortSignal): Promise<void> {
  const isNew = !existsSync(target) || (await readdir(target)).length === 0;
  if (!isNew) return writeTree(entries, target, { signal });
  await mkdir(dirname(target), { recursive: true });
  const temporary = await mkdtemp(`${target}.partial-`);
  try {
    await writeTree([root, ...entries], temporary, { signal });
    await rm(target, { recursive: true, force: true });
    await rename(temporary, target);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** mkdtemp makes directories that only their owner can enter. */
const root: Entry = {
  path: "",
  type: "directory",
  mode: 0o755,
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  size: 0,
  mtime: 0n,
};

/** A set-ID bit would mean another user than the image says where the owner changes, so it goes. */
function ownedByUser(entry: Entry): Entry {
  const { uid, gid } = root;
  const lost = (entry.uid === uid ? 0 : SET_USER_ID) | (entry.gid === gid ? 0 : SET_GROUP_ID);
  return { ...entry, uid, gid, mode: entry.type === "file" ? entry.mode & ~lost : entry.mode };
}

/**
 * The images' file systems as one plain tar, owners as in the image.
 * @throws StepError `EXPORT_FAILED` where two platforms have the same file and stand in one tree.
 */
export async function* exportTar(
  images: readonly BuiltImage[],
  options: RootfsExportOptions,
): AsyncGenerator<Uint8Array> {
  const entries = await rootfsEntries(images, options);
  const pipe = new PassThrough({ highWaterMark: 1024 * 1024 });
  const packed = packLayer(entries, {
    store: streamingStore(pipe),
    compression: { type: "none" },
    signal: options.build.signal,
  }).then(
    () => pipe.end(),
    (error: unknown) => pipe.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  try {
    yield* pipe as AsyncIterable<Uint8Array>;
  } finally {
    pipe.destroy();
    await packed;
  }
}

/** A store whose one blob goes to `pipe`: what is streamed needs no room on the disk. */
function streamingStore(pipe: PassThrough): IngestStore {
  const writer: BlobWriter = {
    async write(chunk) {
      if (pipe.destroyed) throw new StepError("CANCELLED", "Cannot go on writing: nobody reads any more");
      if (!pipe.write(Buffer.from(chunk))) await nextOf(pipe, ["drain", "close"]);
    },
    commit: async () => ({ digest: digestOf(Buffer.alloc(0)), size: 0 }),
    abort: async () => undefined,
  };
  return { ...createMemoryStore(), openWriter: async () => writer };
}

function nextOf(pipe: PassThrough, events: readonly string[]): Promise<void> {
  return new Promise((done) => {
    const listener = (): void => {
      for (const event of events) pipe.off(event, listener);
      done();
    };
    for (const event of events) pipe.on(event, listener);
  });
}

/** All files, those that are one as hard links; in directories by platform where these are split. */
async function rootfsEntries(
  images: readonly BuiltImage[],
  { build, split = images.length > 1 }: RootfsExportOptions,
): Promise<readonly Entry[]> {
  const merged = new Map<string, { readonly entry: Entry; readonly platform: string }>();
  for (const image of images) {
    const platform = formatPlatform(image.platform);
    const prefix = split ? `${platform.replaceAll("/", "_")}/` : "";
    const tree = await openImageTree(image, build);
    const entries = [...walkTree(tree)].filter(({ path }) => path !== "");
    for (const entry of linkEntries(entries.map((each) => ({ ...each, path: prefix + each.path })))) {
      const there = merged.get(entry.path);
      if (there === undefined) merged.set(entry.path, { entry, platform });
      else if (entry.type !== "directory" || there.entry.type !== "directory")
        throw conflict(entry.path, there.platform, platform);
    }
  }
  const entries = Array.from(merged.values(), ({ entry }) => entry);
  return build.epoch === undefined ? entries : entries.map(dated(BigInt(build.epoch) * 1_000_000_000n));
}

function dated(mtime: bigint): (entry: Entry) => Entry {
  return (entry) => ({ ...entry, mtime });
}

function conflict(path: string, first: string, second: string): StepError {
  return new StepError("EXPORT_FAILED", `Cannot write "${path}" of ${second}: that of ${first} has the same name`, {
    hint: "Leave platform-split=false out: then each platform gets a directory of its own",
  });
}
