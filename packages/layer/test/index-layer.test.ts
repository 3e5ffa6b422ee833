import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, linkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { extractLayer, indexLayer, tarSum } from "../src/index.ts";

const directory = mkdtempSync(join(tmpdir(), "varve-index-"));
const tree = join(directory, "tree");
beforeAll(() => {
  mkdirSync(join(tree, "d"), { recursive: true });
  writeFileSync(join(tree, "d", "file"), "hello\n");
  writeFileSync(join(tree, "d", ".wh.gone"), "");
  linkSync(join(tree, "d", "file"), join(tree, "d", "hard"));
  symlinkSync("file", join(tree, "d", "link"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const pack = (...flags: readonly string[]): Buffer =>
  execFileSync("tar", ["-C", tree, "--owner=0", "--group=0", "--numeric-owner", ...flags, "-cf", "-", "d"]);
async function* chunks(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

test("indexLayer() tells what extractLayer() does, compressed or not, and writes nothing", async () => {
  const tar = pack("--sort=name");
  const extracted = await extractLayer(chunks(tar), { directory: join(directory, "out"), overlay: "none" });
  for (const blob of [tar, gzipSync(tar)]) expect(await indexLayer(chunks(blob))).toEqual(extracted);
  expect(extracted.entries.map(({ path, type }) => [path, type])).toContainEqual(["d/gone", "whiteout"]);
});

test("indexLayer() refuses a layer that ends early", async () => {
  await expect(indexLayer(chunks(pack().subarray(0, 700)))).rejects.toMatchObject({ code: "ARCHIVE_CORRUPT" });
});

test("tarSum() depends on names, modes and contents, but neither on order nor on times", async () => {
  const sum = (...flags: readonly string[]): Promise<string> => tarSum(chunks(pack(...flags)));
  const first = await sum("--sort=name", "--mtime=@1");
  expect(first).toMatch(/^tarsum\.v1\+sha256:[0-9a-f]{64}$/);
  expect(await sum("--sort=name", "--mtime=@2000000")).toBe(first);
  expect(await sum("--sort=name", "--mode=0700")).not.toBe(first);
  expect(await sum("--sort=name", "--transform=s/file/other/")).not.toBe(first);
});

test("tarSum() of nothing is the sha256 of nothing", async () => {
  expect(await tarSum(chunks(Buffer.alloc(1024)))).toBe(
    "tarsum.v1+sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
});
