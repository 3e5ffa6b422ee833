import { execFileSync } from "node:child_process";
import { extract } from "tar-stream";
import { describe, expect, test } from "vitest";
import type { Entry } from "../src/index.ts";
import { readTar } from "../src/read-tar.ts";
import { SegmentBuffer } from "../src/segment-buffer.ts";
import { appendHeader, encodeHeader } from "../src/write-header.ts";
import { fc, test as law } from "./laws.ts";
import { chunked, directory, entry } from "./scratch.ts";

const gibibyte = 1024 ** 3;

function hasPax(of: Entry): boolean {
  return encodeHeader(of)[156] === "x".charCodeAt(0);
}

/** What tar-stream's own codec makes of a header. */
async function readWithTarStream(of: Entry): Promise<Record<string, unknown>> {
  const reader = extract();
  const read = new Promise<Record<string, unknown>>((resolve, reject) => {
    reader.on("entry", (header, stream) => {
      resolve({ ...header });
      stream.resume();
    });
    reader.on("error", reject);
  });
  reader.write(Buffer.from(encodeHeader(of)));
  const header = await read;
  reader.destroy();
  return header;
}

const second = 10n ** 9n;
const id = fc.oneof(fc.nat(0o7777), fc.nat(2 ** 32 - 1));
const name = fc.oneof(
  fc.stringMatching(/^[a-z]{1,5}(\/[a-z]{1,60}){0,5}$/),
  fc.stringMatching(/^[a-z]{80,160}\/[a-z]{90,110}$/),
  fc.stringMatching(/^[äx\n ]{1,120}$/),
);
const anyEntry: fc.Arbitrary<Entry> = fc.record(
  {
    path: name,
    type: fc.constantFrom("directory", "symlink", "hardlink", "char-device", "fifo", "whiteout", "opaque"),
    mode: fc.nat(0o7777),
    uid: id,
    gid: id,
    size: fc.constant(0),
    mtime: fc.oneof(
      fc.bigInt(0n, 10n ** 10n).map((seconds) => seconds * second),
      fc.bigInt(0n, 10n ** 12n).map((hundredths) => (hundredths * second) / 100n),
      fc.bigInt(-(10n ** 20n), 10n ** 20n),
    ),
    linkname: name,
    device: fc.record({ major: id, minor: id }),
    xattrs: fc.dictionary(fc.stringMatching(/^user\.[a-z]{1,10}$/), fc.uint8Array({ maxLength: 600 })),
  },
  { requiredKeys: ["path", "type", "mode", "uid", "gid", "size", "mtime"], noNullPrototype: true },
);
const anyFile = fc.tuple(anyEntry, fc.oneof(fc.nat(10_000), fc.maxSafeNat())).map(([of, size]): Entry => {
  const { linkname: _linkname, device: _device, ...rest } = of;
  return { ...rest, type: "file", size };
});

describe("appendHeader()", () => {
  law("writes each byte that encodeHeader() gives, whatever stood there", [fc.oneof(anyEntry, anyFile)], (of) => {
    const segment = SegmentBuffer.take(0);
    segment.room.fill(0xa5);
    segment.append(Buffer.from("before"));
    appendHeader(segment, of);
    expect(Buffer.from(segment.bytes).equals(Buffer.concat([Buffer.from("before"), encodeHeader(of)]))).toBe(true);
    expect(segment.room[segment.length]).toBe(0xa5);
    segment.recycle();
  });
});

describe("encodeHeader()", () => {
  law("is what readTar() reads", [fc.oneof(anyEntry, anyFile)], async (of) => {
    const { value } = await readTar(chunked(Buffer.concat([encodeHeader(of), Buffer.alloc(1024)]))).next();
    const { uid, gid, mode, size, mtime, xattrs } = of;
    expect(value?.header).toMatchObject({ uid, gid, mode, size, mtime });
    expect(value?.header.name).toContain(of.type === "whiteout" ? ".wh." : of.path);
    expect(value?.header.linkname).toBe(of.linkname ?? "");
    for (const [key, bytes] of Object.entries(xattrs ?? {})) {
      expect(Buffer.from(value?.header.xattrs?.[key] ?? []).equals(Buffer.from(bytes))).toBe(true);
    }
  });

  test.each<[string, Entry, boolean]>([
    ["a plain file", entry("usr/bin/x", { mtime: 1_700_000_000_000_000_000n }), false],
    ["a path of 255 bytes that splits", entry(`${"p".repeat(154)}/${"n".repeat(100)}`), false],
    ["a path of 256 bytes", entry(`${"p".repeat(155)}/${"n".repeat(101)}`), true],
    ["a directory whose name and slash exceed 100 bytes", directory("d".repeat(100)), true],
    ["a name that is not ASCII", entry("ünï"), true],
    ["a name with a line feed", entry("a\nb"), true],
    ["a target of 101 bytes", entry("l", { type: "symlink", linkname: "x".repeat(101) }), true],
    ["8 GiB less one byte", entry("f", { size: 8 * gibibyte - 1 }), false],
    ["12 GiB", entry("f", { size: 12 * gibibyte }), true],
    ["the largest octal uid", entry("f", { uid: 0o7777777, gid: 0o7777777 }), false],
    ["a uid beyond it", entry("f", { uid: 0o7777777 + 1 }), true],
    ["a time before 1970", entry("f", { mtime: -1_000_000_000n }), true],
    ["a time with a fraction", entry("f", { mtime: 1n }), true],
    ["xattrs", entry("f", { xattrs: { "user.x": Uint8Array.of(0, 255) } }), true],
  ])("writes a pax header only where ustar can't hold: %s", async (_name, of, expected) => {
    expect(hasPax(of)).toBe(expected);
    const read = await readWithTarStream(of);
    expect(read["name"]).toBe(of.type === "directory" ? `${of.path}/` : of.path);
    expect(read["size"]).toBe(of.size);
    expect(read["linkname"] ?? "").toBe(of.linkname ?? "");
    expect(read["mode"]).toBe(of.mode);
  });

  test("writes ids, times and attributes that python reads", () => {
    const of = entry("füü", {
      uid: 3_000_000,
      gid: 4_000_000,
      size: 12 * gibibyte,
      mtime: -1_500_000_000n,
      xattrs: { "user.x": Buffer.from("y") },
    });
    const script = `import sys,tarfile,io
f=io.BytesIO(sys.stdin.buffer.read()+bytes(1024));o=tarfile.open(fileobj=f,mode='r:');m=o.firstmember
print(m.name,m.uid,m.gid,m.size,m.mtime,m.pax_headers['SCHILY.xattr.user.x'])`;
    const out = execFileSync("python3", ["-c", script], { input: encodeHeader(of), encoding: "utf8" });
    expect(out.trim()).toBe("füü 3000000 4000000 12884901888 -1.5 y");
  });

  test.each<[Entry, string]>([
    [entry("a/b", { type: "whiteout", mode: 0 }), "a/.wh.b"],
    [entry("b", { type: "whiteout", mode: 0 }), ".wh.b"],
    [entry("a", { type: "opaque", mode: 0 }), "a/.wh..wh..opq"],
    [entry("", { type: "opaque", mode: 0 }), ".wh..wh..opq"],
    [directory(""), "./"],
  ] as const)("names $0.type $0.path $1", (of, name) => {
    expect(encodeHeader(of).toString("latin1", 0, 100).replaceAll("\0", "")).toBe(name);
  });

  test("refuses a file whose name reads as a whiteout", () => {
    expect(() => encodeHeader(entry("a/.wh.b"))).toThrow('Cannot take "a/.wh.b" into a layer');
  });
});
