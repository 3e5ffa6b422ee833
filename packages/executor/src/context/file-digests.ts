import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, type BigIntStats } from "node:fs";
import type { Memo } from "@varve/cache";
import type { Digest } from "@varve/oci";
import { digestOf } from "@varve/oci";
import type { Entry } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { ContextTree } from "./context-tree.ts";
import { decodeFileDigests, encodeFileDigests, type KnownFile } from "./file-digest-codec.ts";

/** Digests of a context's files, remembered from build to build by what lstat says of them. */
export interface FileDigests {
  /** `entry` with the digest of its bytes; `path` is where it stands in the context. */
  withDigest(path: string, entry: Entry): Entry;
  /** Stores what was learnt, for the next build. */
  save(): Promise<void>;
}

const NAMESPACE = "file-digests/1";
const CHUNK = 1024 * 1024;
/** A file changed this shortly before it was read could change again without its times telling: nanoseconds. */
const RACY_WINDOW = 20_000_000n;

/** Opens what is remembered of `tree`; a memo that is absent or damaged only costs time. */
export async function openFileDigests(tree: ContextTree, memo: Memo): Promise<FileDigests> {
  const name = digestOf(Buffer.from(tree.source.path));
  const stored = await memo.get(NAMESPACE, name);
  const known = stored === undefined ? new Map<string, KnownFile>() : decodeFileDigests(stored);
  const fresh = new Map<string, KnownFile>();
  let learnt = 0;
  const digestOfFile = (path: string): Digest => {
    const stat = tree.stat(path);
    if (stat === undefined) throw new Error(`Cannot digest "${path}": not in the context`);
    const before = fresh.get(path) ?? known.get(path);
    if (before !== undefined && isSame(before, stat)) {
      fresh.set(path, before);
      return before.digest;
    }
    const started = BigInt(Date.now()) * 1_000_000n;
    const digest = readDigest(tree, path, stat);
    learnt += 1;
    const changed = stat.mtimeNs > stat.ctimeNs ? stat.mtimeNs : stat.ctimeNs;
    if (started - changed > RACY_WINDOW) fresh.set(path, describe(stat, digest));
    return digest;
  };
  return {
    withDigest: (path, entry) => (entry.type === "file" ? { ...entry, digest: digestOfFile(path) } : entry),
    async save() {
      if (learnt === 0) return;
      await memo.put(NAMESPACE, name, encodeFileDigests(new Map([...known, ...fresh])));
      learnt = 0;
    },
  };
}

function describe(stat: BigIntStats, digest: Digest): KnownFile {
  return { inode: stat.ino, size: stat.size, mtime: stat.mtimeNs, ctime: stat.ctimeNs, digest };
}

function isSame(known: KnownFile, stat: BigIntStats): boolean {
  return (
    known.inode === stat.ino && known.size === stat.size && known.mtime === stat.mtimeNs && known.ctime === stat.ctimeNs
  );
}

/** Shared: digests are taken one after the other, synchronously. */
let buffer: Buffer | undefined;

function readDigest(tree: ContextTree, path: string, stat: BigIntStats): Digest {
  const file = `${tree.source.path}/${path}`;
  buffer ??= Buffer.allocUnsafe(CHUNK);
  try {
    const descriptor = openSync(file, "r");
    try {
      const hash = createHash("sha256");
      let size = 0n;
      for (let read = readSync(descriptor, buffer); read > 0; read = readSync(descriptor, buffer)) {
        hash.update(buffer.subarray(0, read));
        size += BigInt(read);
      }
      const after = fstatSync(descriptor, { bigint: true });
      if (size !== stat.size || after.mtimeNs !== stat.mtimeNs || after.ino !== stat.ino) throw contextChanged(file);
      return `sha256:${hash.digest("hex")}`;
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    if (cause instanceof StepError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") throw contextChanged(file);
    throw new StepError(
      "CONTEXT_INVALID",
      `Cannot read "${file}" of the build context: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`,
      {
        cause,
        hint: "Make it readable, or leave it out with .dockerignore",
      },
    );
  }
}

function contextChanged(file: string): StepError {
  return new StepError("CONTEXT_CHANGED", `Cannot use "${file}": it changed while the build read it`, {
    hint: "Build again when nothing writes to the build context",
  });
}
