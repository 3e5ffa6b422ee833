import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodeLayerIndex, encodeLayerIndex, type IndexEntry, type LayerIndex, type Segment } from "../src/index.ts";
import { fc, test as law } from "./laws.ts";
import { directory, entry, file, pack } from "./scratch.ts";

const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => `sha256:${Buffer.from(bytes).toString("hex")}` as const);
const size = fc.maxSafeNat();
const indexEntry: fc.Arbitrary<IndexEntry> = fc.record(
  {
    path: fc.string({ unit: "grapheme" }),
    type: fc.constantFrom(
      "file",
      "directory",
      "symlink",
      "hardlink",
      "char-device",
      "block-device",
      "fifo",
      "whiteout",
      "opaque",
    ),
    mode: fc.nat(0o7777),
    uid: fc.nat(2 ** 32 - 1),
    gid: fc.nat(2 ** 32 - 1),
    size,
    mtime: fc.bigInt(-(10n ** 18n), 10n ** 22n),
    linkname: fc.string({ unit: "grapheme" }),
    device: fc.record({ major: fc.nat(), minor: fc.nat() }, { noNullPrototype: true }),
    xattrs: fc.dictionary(fc.string({ minLength: 1 }), fc.uint8Array(), { noNullPrototype: true }),
    digest,
    tarOffset: size,
  },
  { requiredKeys: ["path", "type", "mode", "uid", "gid", "size", "mtime"], noNullPrototype: true },
);
const segments = fc.array(fc.record({ tarLength: fc.nat(), length: fc.nat(), tarDigest: digest })).map((parts) => {
  let [tarOffset, offset] = [0, 10];
  return parts.map((part): Segment => {
    const segment = { ...part, tarOffset, offset };
    tarOffset += part.tarLength;
    offset += part.length;
    return segment;
  });
});

law(
  "decodeLayerIndex() undoes encodeLayerIndex()",
  [digest, digest, fc.array(indexEntry), fc.option(segments, { nil: undefined })],
  async (diffId, contentDigest, entries, cut) => {
    const index: LayerIndex = { diffId, contentDigest, entries, ...(cut && { segments: cut }) };
    expect(decodeLayerIndex(await encodeLayerIndex(index))).toEqual(index);
  },
);

test("encodeLayerIndex() leaves contents out", async () => {
  const { index } = await pack([file("f", "x")]);
  const decoded = decodeLayerIndex(await encodeLayerIndex({ ...index, entries: [file("f", "x")] }));
  expect(decoded.entries[0]).not.toHaveProperty("content");
});

test.each<[string, Uint8Array]>([
  ["nothing", new Uint8Array()],
  ["no zstd", Buffer.from("hello")],
  ["another format", zstdCompressSync(Buffer.from("varve/layer-index/2\n"))],
  [
    "a count that promises more than there is",
    zstdCompressSync(
      Buffer.concat([Buffer.from("varve/layer-index/1\n\0"), Buffer.alloc(64), Buffer.from([0, 255, 255, 255, 127])]),
    ),
  ],
])("decodeLayerIndex() refuses %s", (_what, blob) => {
  expect(() => decodeLayerIndex(blob)).toThrow(expect.objectContaining({ code: "INDEX_INVALID" }) as Error);
});

law(
  "decodeLayerIndex() refuses damage or gives an index, never anything else",
  [fc.nat(), fc.nat(255), fc.nat(40)],
  async (at, byte, cut) => {
    const { index } = await pack([directory("d"), file("d/f", "x"), entry("l", { type: "symlink", linkname: "d" })]);
    const plain = zstdDecompressSync(await encodeLayerIndex(index));
    plain[at % plain.length] = byte;
    const damaged = plain.subarray(0, plain.length - (cut % plain.length));
    try {
      expect(decodeLayerIndex(zstdCompressSync(damaged)).entries.length).toBeLessThan(plain.length);
    } catch (error) {
      expect(error).toMatchObject({ code: "INDEX_INVALID" });
    }
  },
);
