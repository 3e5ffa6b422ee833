import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryStore } from "@varve/oci";
import { onTestFinished } from "vitest";
import type { Compression, Entry, LayerIndex, PackedLayer, PackOptions } from "../src/index.ts";
import { decodeLayerIndex, packLayer } from "../src/index.ts";

/** An empty directory that goes away with the test. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "varve-layer-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Runs a shell script in a directory and gives what it printed. */
export function sh(directory: string, script: string): string {
  return execFileSync("bash", ["-euc", script], {
    cwd: directory,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Packs entries into memory: the layer and its blob. */
export async function pack(
  entries: readonly Entry[],
  compression: Compression = { type: "none" },
  options: Partial<PackOptions> = {},
): Promise<Omit<PackedLayer, "index"> & { readonly index: LayerIndex; readonly blob: Buffer }> {
  const store = createMemoryStore();
  const packed = await packLayer(entries, { store, compression, ...options });
  const index = decodeLayerIndex(await packed.index);
  return { ...packed, index, blob: Buffer.concat(await store.fetch(packed.layer.descriptor).toArray()) };
}

/** An entry with the given properties, else a file of root with mode 644 and time 0. */
export function entry(path: string, properties: Partial<Entry> = {}): Entry {
  return { path, type: "file", mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 0n, ...properties };
}

/** A file's entry with bytes in memory. */
export function file(path: string, text: string, properties: Partial<Entry> = {}): Entry {
  const bytes = Buffer.from(text);
  return entry(path, { size: bytes.length, content: { bytes }, ...properties });
}

export function directory(path: string, properties: Partial<Entry> = {}): Entry {
  return entry(path, { type: "directory", mode: 0o755, ...properties });
}

/** The bytes in chunks of `length`. */
export async function* chunked(bytes: Uint8Array, length: number = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(Uint8Array.from(chunk));
  return Buffer.concat(all);
}

/** A tree with one of everything; `root` becomes its root. */
export const everything = `
mkdir -p a/b e "$(printf 'x%.0s' {1..120})/$(printf 'y%.0s' {1..200})"
echo hi > a/f; ln a/f a/g; ln -s /etc/x l; ln -s "$(printf 'long/%.0s' {1..60})" longlink
touch -d @-1.5 e/negative; touch -d @1700000000.123456789 e/fraction; touch -d @1700000000 e/whole
mkfifo p; mknod n c 1 3; mknod blk b 7 300
chown 12:34 a/f; chmod 4755 a/f; chown -h 5:6 l; chown 3000000:3000001 e/whole
setfattr -n user.x -v 1 a/b; setfattr -n trusted.t -v "$(printf 'a\\nb')" e/whole
cp /bin/busybox a/bb; setcap cap_net_raw+ep a/bb
touch ünï "sp ace" 'new
line'; chmod 1777 e; chmod 2750 a/b
head -c 5000000 /dev/urandom > big; : > empty
touch -d @1600000000.5 a/b e a .
`;

/** Paths, types, modes, owners, sizes, times, link targets and bytes of a tree, as find and sha256sum see it. */
export function describeTree(root: string): string {
  const find = `find . -mindepth 1 -printf '%P|%y|%m|%U:%G|%T@|%l|%n\\n' | sed -E 's/\\|(d)\\|(.*)\\|[0-9]+$/|\\1|\\2/' | sort`;
  const sizes = `find . -type f -printf '%P|%s\\n' | sort; find . -type f -print0 | sort -z | xargs -0r sha256sum`;
  const xattrs = `getfattr -Rdhm '^(user\\.[^o]|trusted\\.[^o]|security\\.cap)' -e hex . 2>/dev/null | sed 's/^# file: //' || true`;
  return sh(root, `{ ${find}; ${sizes}; ${xattrs}; find . -type c -o -type b | sort | xargs -r stat -c '%n %t:%T'; }`);
}
