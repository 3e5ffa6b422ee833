import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decompress, detectArchive } from "../src/index.ts";
import { chunked, collect, pack, file, scratch, sh } from "./scratch.ts";
import { fc, test as law } from "./laws.ts";

/** What `script` writes to "out", given "in" with some 300 kB of text. */
function compressed(script: string): { readonly plain: Buffer; readonly bytes: Buffer } {
  const root = scratch();
  sh(root, `seq 1 50000 > in; ${script}`);
  return { plain: readFileSync(join(root, "in")), bytes: readFileSync(join(root, "out")) };
}

const skippable = `printf '\\x50\\x2a\\x4d\\x18\\x04\\x00\\x00\\x00abcd'`;

describe("decompress()", () => {
  test.each([
    ["gzip", "gzip -c in > out"],
    ["gzip of many members", "{ head -c 1000 in | gzip; tail -c +1001 in | pigz; } > out"],
    ["gzip with name and comment", "gzip -Nc in > out"],
    ["bzip2", "bzip2 -c in > out"],
    ["xz", "xz -c in > out"],
    ["zstd", "zstd -qc in > out"],
    ["zstd with threads and checksum", "zstd -q -T2 --check -c in > out"],
    ["zstd without content size", "cat in | zstd -q --no-check -c > out"],
    [
      "zstd of many frames, some skippable",
      `{ ${skippable}; head -c 1000 in | zstd -qc; ${skippable}; tail -c +1001 in | zstd -qc; ${skippable}; } > out`,
    ],
    ["zstd of bytes that do not compress", "openssl rand 400000 > in; zstd -qc in > out"],
    ["plain bytes", "cp in out"],
  ])("reads %s, whatever the chunks", async (_name, script) => {
    const { plain, bytes } = compressed(script);
    for (const length of [1 << 20, 64 * 1024, 777]) {
      expect((await collect(decompress(chunked(bytes, length)))).equals(plain)).toBe(true);
    }
  });

  test.each(["gzip", "bzip2", "xz", "zstd -q"])("refuses what %s wrote and was cut", async (program) => {
    const { bytes } = compressed(`${program} -c in > out`);
    const cut = decompress(chunked(bytes.subarray(0, bytes.length - 20)));
    await expect(collect(cut)).rejects.toMatchObject({ code: "ARCHIVE_CORRUPT" });
  });

  test.each(["gzip", "zstd -q --check"])("refuses what %s wrote and was altered", async (program) => {
    const { bytes } = compressed(`${program} -c in > out`);
    bytes[bytes.length >> 1] = 1 + (bytes[bytes.length >> 1] ?? 0);
    await expect(collect(decompress(chunked(bytes)))).rejects.toMatchObject({ code: "ARCHIVE_CORRUPT" });
  });

  test("names the program that is missing", async () => {
    const { bytes } = compressed("xz -c in > out");
    const path = process.env["PATH"];
    process.env["PATH"] = "/nowhere";
    try {
      await expect(collect(decompress(chunked(bytes)))).rejects.toMatchObject({
        code: "TOOL_MISSING",
        hint: "Install xz-utils",
      });
    } finally {
      process.env["PATH"] = path;
    }
  });

  test("passes on what its source throws", async () => {
    const { bytes } = compressed("gzip -c in > out");
    const failing = (async function* () {
      yield bytes.subarray(0, 5000);
      throw new Error("the network is gone");
    })();
    await expect(collect(decompress(failing))).rejects.toThrow("the network is gone");
  });

  test("lets its source go when it is left early", async () => {
    let isClosed = false;
    const source = (async function* () {
      try {
        for (;;) yield Buffer.alloc(1000);
      } finally {
        isClosed = true;
      }
    })();
    for await (const _ of decompress(source)) break;
    expect(isClosed).toBe(true);
  });
});

describe("detectArchive()", () => {
  test("tells formats by their first bytes", async () => {
    const { blob } = await pack([file("f", "x")]);
    expect(detectArchive(blob)).toBe("tar");
    for (const type of ["gzip", "zstd"] as const) expect(detectArchive((await pack([], { type })).blob)).toBe(type);
    expect(detectArchive(compressed("bzip2 -c in > out").bytes)).toBe("bzip2");
    expect(detectArchive(compressed("xz -c in > out").bytes)).toBe("xz");
  });

  law("takes no other bytes for a tar", [fc.uint8Array({ minLength: 512, maxLength: 600 })], (bytes) => {
    expect(detectArchive(bytes)).not.toBe("tar");
  });

  test("takes zeros for nothing", () => expect(detectArchive(Buffer.alloc(10240))).toBeUndefined());
});
