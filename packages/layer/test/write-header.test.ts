import { execFileSync } from "node:child_process";
import { extract } from "tar-stream";
import { describe, expect, test } from "vitest";
import type { Entry } from "../src/index.ts";
import { encodeHeader } from "../src/write-header.ts";
import { directory, entry } from "./scratch.ts";

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

describe("encodeHeader()", () => {
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
