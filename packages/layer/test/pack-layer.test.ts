import { appendFileSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type BlobWriter, createMemoryStore, type Digest, digestOf, type IngestStore } from "@varve/oci";
import { describe, expect, test } from "vitest";
import {
  digestFiles,
  type Entry,
  joinHardlinks,
  orderEntries,
  packLayer,
  packOrdered,
  scanDirectory,
  type SegmentReuse,
  treeDigest,
} from "../src/index.ts";
import { describeTree, directory, entry, everything, file, pack, scratch, sh } from "./scratch.ts";
import { fc, test as law } from "./laws.ts";

const compressions = ["gzip", "zstd", "none"] as const;
const decoders = { gzip: "gzip -dc", zstd: "zstd -qdc", none: "cat" };

function manyFiles(): ReturnType<typeof file>[] {
  return Array.from({ length: 4000 }, (_, number) => file(`f${number}`, `content ${number} `.repeat(number % 150)));
}

describe("packLayer()", () => {
  test.each(compressions)("gives the same bytes at any concurrency: %s", async (type) => {
    const packed = await Promise.all([1, 2, 4].map((concurrency) => pack(manyFiles(), { type }, { concurrency })));
    const digests = packed.map(({ layer }) => layer.descriptor.digest);
    expect(new Set(digests).size).toBe(1);
    expect(packed[0]?.layer.descriptor.digest).toBe(digestOf(packed[0]?.blob ?? Buffer.alloc(0)));
  });

  law(
    "does not depend on the order of the entries, and its content digest not on their times",
    [fc.shuffledSubarray(["a", "a/b", "a-b", "b", "b/c", "b/d"], { minLength: 6 }), fc.bigInt(0n, 10n ** 18n)],
    async (paths, mtime) => {
      const make = (path: string, time: bigint) =>
        path.length === 1 ? directory(path, { mtime: time }) : file(path, path, { mtime: time });
      const sorted = await pack(paths.toSorted().map((path) => make(path, 0n)));
      expect((await pack(paths.map((path) => make(path, 0n)))).layer).toEqual(sorted.layer);
      expect((await pack(paths.map((path) => make(path, mtime)))).contentDigest).toBe(sorted.contentDigest);
    },
    20,
  );

  test.each(compressions)("writes what GNU tar extracts: %s", async (type) => {
    const root = scratch();
    sh(root, `mkdir src out && cd src && ${everything}`);
    const { blob } = await pack(joinHardlinks(scanDirectory(join(root, "src"), { xattrs: "read" })), { type });
    writeFileSync(join(root, "layer"), blob);
    sh(root, `${decoders[type]} layer | tar --xattrs --xattrs-include='*' -C out -xpf - 2>/dev/null`);
    expect(describeTree(join(root, "out"))).toBe(describeTree(join(root, "src")));
  });

  test("writes what umoci unpacks and python lists", async () => {
    const root = scratch();
    sh(root, `mkdir src && cd src && ${everything}`);
    const { blob, index } = await pack(joinHardlinks(scanDirectory(join(root, "src"), { xattrs: "read" })));
    writeFileSync(join(root, "layer.tar"), blob);
    sh(
      root,
      `umoci init --layout oci; umoci new --image oci:t; umoci raw add-layer --image oci:t layer.tar; umoci unpack --image oci:t bundle`,
    );
    expect(describeTree(join(root, "bundle/rootfs"))).toBe(describeTree(join(root, "src")));
    const listed = sh(root, `python3 -c "import tarfile;[print(repr(m.name)) for m in tarfile.open('layer.tar')]"`);
    expect(listed.trim().split("\n")).toHaveLength(index.entries.length);
  });

  test("writes one gzip member with a fixed header", async () => {
    const { blob } = await pack(manyFiles(), { type: "gzip" });
    expect(blob.subarray(0, 10).toString("hex")).toBe("1f8b08000000000000ff");
    expect(digestOf(gunzipSync(blob))).toBe((await pack(manyFiles())).layer.descriptor.digest);
  });

  test("describes the layer: media type, diffId, content digest, places", async () => {
    const entries = [file("b", "bytes"), directory("a")];
    const { layer, index, contentDigest, blob } = await pack(entries);
    expect(layer.descriptor).toMatchObject({ mediaType: "application/vnd.oci.image.layer.v1.tar", size: blob.length });
    expect(index).toMatchObject({ diffId: layer.diffId, contentDigest });
    expect(contentDigest).toBe(await treeDigest(entries));
    expect(index.entries.map(({ path }) => path)).toEqual(["a", "b"]);
    expect(index.entries[1]).not.toHaveProperty("content");
    const offset = index.entries[1]?.tarOffset ?? 0;
    expect(blob.toString("latin1", offset, offset + 5)).toBe("bytes");
  });

  test("tells of each file, in order, with the digest of its bytes", async () => {
    const large = file("large", "0123456789".repeat(400_000));
    const told: [string, Digest][] = [];
    const onFile = ({ path }: Entry, digest: Digest) => void told.push([path, digest]);
    const { index } = await pack([directory("d"), ...manyFiles(), large], { type: "zstd" }, { onFile });
    const files = index.entries.filter(({ type }) => type === "file");
    expect(files).toHaveLength(4001);
    expect(told).toEqual(files.map(({ path, digest }) => [path, digest]));
    expect(new Map(told).get("large")).toBe(digestOf(Buffer.from("0123456789".repeat(400_000))));
  });

  describe.each(["gzip", "zstd"] as const)("with the segments of an earlier blob: %s", (type) => {
    async function earlierBlob() {
      const path = join(scratch(), "blob");
      const { blob, index, segmentDigests } = await pack(manyFiles(), { type });
      writeFileSync(path, blob);
      const segments = (index.segments ?? []).map(({ tarDigest, tarLength, offset, length }, position) => ({
        tarDigest,
        tarLength,
        digest: segmentDigests[position] ?? digestOf(blob),
        path,
        offset,
        length,
      }));
      const candidates = (length: number) => segments.filter(({ tarLength }) => tarLength === length);
      return { path, segments, reuse: { candidates } satisfies SegmentReuse };
    }

    const changed = manyFiles().with(2000, file("f2000", "other"));

    test("takes those that are the same instead of compressing", async () => {
      const { reuse } = await earlierBlob();
      const [again, afresh] = [await pack(changed, { type }, { reuse }), await pack(changed, { type })];
      expect(again.layer).toEqual(afresh.layer);
      expect(again.index).toEqual(afresh.index);
      expect(again.segmentDigests).toEqual(afresh.segmentDigests);
      expect((again.index.segments ?? []).length - again.reused).toBeLessThanOrEqual(2);
    });

    test("reads no file of a segment whose digests are all known", async () => {
      const { reuse } = await earlierBlob();
      const gone = (await digestFiles(manyFiles())).map((each) => ({ ...each, content: { path: "/nowhere" } }));
      const again = await pack(gone, { type }, { reuse });
      expect(again.layer).toEqual((await pack(manyFiles(), { type })).layer);
      expect(again.reused).toBe(again.index.segments?.length);
    });

    test.each<[string, (path: string) => void]>([
      ["is gone", (path) => rmSync(path)],
      ["is cut short", (path) => writeFileSync(path, "")],
      [
        "has other bytes",
        (path) =>
          writeFileSync(
            path,
            readFileSync(path).map((byte) => byte ^ 1),
          ),
      ],
    ])("makes them again where the blob %s", async (_what, damage) => {
      const { path, reuse } = await earlierBlob();
      damage(path);
      const again = await pack(await digestFiles(changed), { type }, { reuse });
      expect(again.layer).toEqual((await pack(changed, { type })).layer);
      expect(again.reused).toBe(0);
    });

    test("makes one again that does not hold the tar that it is said to", async () => {
      const { segments } = await earlierBlob();
      const [first, second] = segments;
      if (first === undefined || second === undefined) throw new Error("There are too few segments");
      const swapped = { ...second, tarDigest: first.tarDigest };
      const reuse = { candidates: (length: number) => (length === first.tarLength ? [swapped] : []) };
      const whole = await digestFiles(manyFiles());
      expect((await pack(whole, { type }, { reuse })).layer).toEqual((await pack(whole, { type })).layer);
    });
  });

  test("reads contents at offsets, as an unpacked archive has them", async () => {
    const root = scratch();
    writeFileSync(join(root, "spool"), "..abc..");
    const spooled = entry("f", { size: 3, content: { path: join(root, "spool"), offset: 2 } });
    expect((await pack([spooled])).layer).toEqual((await pack([file("f", "abc")])).layer);
  });

  const known = { digest: digestOf(Buffer.from("bytes")) };
  test.each<[string, (path: string) => void, { readonly digest?: Digest }]>([
    ["is gone", (path) => rmSync(path), known],
    ["is gone, not digested", (path) => rmSync(path), {}],
    ["became longer, not digested", (path) => appendFileSync(path, "more"), {}],
    ["became shorter", (path) => writeFileSync(path, "byte"), known],
    ["has other bytes of the same length", (path) => writeFileSync(path, "BYTES"), known],
    ["is a directory now", (path) => sh("/", `rm ${path}; mkdir ${path}`), known],
    ["is a directory now, not digested", (path) => sh("/", `rm ${path}; mkdir ${path}`), {}],
    ["is a fifo now", (path) => sh("/", `rm ${path}; mkfifo ${path}`), known],
    ["is a fifo now, not digested", (path) => sh("/", `rm ${path}; mkfifo ${path}`), {}],
  ])("fails and leaves nothing where a file %s", async (_what, change, digest) => {
    const path = join(scratch(), "file");
    writeFileSync(path, "bytes");
    const entries = [entry("file", { size: 5, ...digest, content: { path } })];
    change(path);
    const { store, committed } = watchedStore();
    await expect(packLayer(entries, { store, compression: { type: "gzip" } })).rejects.toMatchObject({
      code: "FILE_CHANGED",
      path: "file",
    });
    expect(committed()).toBe(0);
  });

  test("takes the bytes that the digest is of, whatever was added to the file since", async () => {
    const path = join(scratch(), "file");
    writeFileSync(path, "bytes and more");
    const longer = entry("f", { size: 5, ...known, content: { path } });
    expect((await pack([longer])).layer).toEqual((await pack([file("f", "bytes")])).layer);
  });

  test("fails where a file is written to while it is read", async () => {
    const path = join(scratch(), "file");
    writeFileSync(path, Buffer.alloc(12 * 1024 * 1024));
    const writing = openSync(path, "r+");
    const store = createMemoryStore();
    const touching: IngestStore = {
      ...store,
      openWriter: async () => {
        const writer = await store.openWriter();
        return { ...writer, write: async (chunk) => (writeFileSync(writing, "x"), writer.write(chunk)) };
      },
    };
    const entries = [entry("file", { size: 12 * 1024 * 1024, content: { path } })];
    const options = { store: touching, compression: { type: "none" }, concurrency: 1 } as const;
    await expect(packLayer(entries, options)).rejects.toMatchObject({ code: "FILE_CHANGED" });
    closeSync(writing);
  });

  test.each([1, 2, 4])(
    "makes the same of entries that come one after the other, in %i threads",
    async (concurrency) => {
      const entries = orderEntries([...manyFiles(), file("large", "bytes ".repeat(2_000_000))]);
      const store = createMemoryStore();
      const packed = await packOrdered(entries.values(), { store, compression: { type: "gzip" }, concurrency });
      expect(packed).toEqual(await packLayer(entries, { store, compression: { type: "gzip" }, concurrency: 3 }));
    },
  );

  test.each([
    ["fail after a few", 10, "no more entries"],
    ["fail after many", 3000, "no more entries"],
    ["come in another order", 3000, 'Cannot pack "a" after'],
  ])("leaves nothing where entries %s", async (_what, count, message) => {
    function* found(): Generator<Entry> {
      for (let each = 0; each < count; each += 1) yield file(`file-${String(each).padStart(5, "0")}`, "x".repeat(2000));
      if (message.startsWith("Cannot")) yield file("a", "a");
      throw new Error("no more entries");
    }
    const { store, committed } = watchedStore();
    await expect(packOrdered(found(), { store, compression: { type: "zstd" } })).rejects.toThrow(message);
    expect(committed()).toBe(0);
  });

  test("ends with the signal's reason", async () => {
    const { store, committed } = watchedStore();
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(packLayer(manyFiles(), { store, compression: { type: "gzip" }, signal })).rejects.toThrow("enough");
    expect(committed()).toBe(0);
  });

  test("takes little memory for a large file", async () => {
    const path = join(scratch(), "large");
    sh("/", `truncate -s 512M ${path}`);
    const store = { ...createMemoryStore(), openWriter: async () => nowhere() };
    const entries = [entry("large", { size: 512 * 1024 ** 2, content: { path } })];
    const before = process.memoryUsage().rss;
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
    await packLayer(entries, { store, compression: { type: "zstd", level: 1 } });
    clearInterval(timer);
    expect((most - before) / 1024 ** 2).toBeLessThan(150);
  }, 60_000);
});

function watchedStore(): { readonly store: IngestStore; readonly committed: () => number } {
  let count = 0;
  const memory = createMemoryStore();
  const openWriter = async (): Promise<BlobWriter> => {
    const writer = await memory.openWriter();
    return { ...writer, commit: () => (count++, writer.commit()) };
  };
  return { store: { ...memory, openWriter }, committed: () => count };
}

function nowhere(): BlobWriter {
  let size = 0;
  return {
    write: async (chunk) => void (size += chunk.length),
    commit: async () => ({ digest: digestOf(Buffer.alloc(0)), size }),
    abort: async () => undefined,
  };
}
