import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "@varve/oci";
import { describe, expect, test } from "vitest";
import { copyFile } from "../src/index.ts";
import { scratch } from "./scratch.ts";

/** More pieces than a thread is given at once. */
const large = Buffer.alloc(100 * 1024 * 1024 + 7);
for (let at = 0; at < large.length; at += 4096) large.writeUInt32LE(at, Math.min(at, large.length - 4));

function place(bytes: Uint8Array): { from: string; into: string } {
  const root = scratch();
  const [from, into] = [join(root, "from"), join(root, "into")];
  writeFileSync(from, bytes);
  writeFileSync(into, "head");
  return { from, into };
}

describe("copyFile()", () => {
  test.each([
    ["nothing", new Uint8Array()],
    ["a small file", Buffer.from("bytes")],
    ["a large one", large],
  ])("puts %s into another file, and gives its digest", async (_what, bytes) => {
    const { from, into } = place(bytes);
    expect(await copyFile({ from, into, target: 4, length: bytes.length })).toBe(digestOf(bytes));
    expect(readFileSync(into).equals(Buffer.concat([Buffer.from("head"), bytes]))).toBe(true);
  });

  test("fails as the system does, and serves the next one", async () => {
    const { from, into } = place(Buffer.from("bytes"));
    const gone = copyFile({ from: `${from}-gone`, into, target: 4, length: large.length });
    await expect(gone).rejects.toMatchObject({ code: "ENOENT", syscall: "open" });
    expect(await copyFile({ from, into, target: 4, length: 5 })).toBe(digestOf(Buffer.from("bytes")));
  });

  test("ends where its signal says so", async () => {
    const { from, into } = place(large);
    const copying = new AbortController();
    const copied = copyFile({ from, into, target: 4, length: large.length }, copying.signal);
    copying.abort(new Error("enough"));
    await expect(copied).rejects.toThrow("enough");
  });
});
