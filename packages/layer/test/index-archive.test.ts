import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Entry, indexArchive, writeTar } from "../src/index.ts";
import { chunked, collect, pack, scratch, sh } from "./scratch.ts";

function textOf({ content, size }: Entry): string | undefined {
  if (content === undefined || "bytes" in content) return undefined;
  const offset = content.offset ?? 0;
  return readFileSync(content.path).toString("latin1", offset, offset + size);
}

describe("indexArchive()", () => {
  test.each(["cat", "gzip", "bzip2", "xz", "zstd -q"])(
    "finds entries and contents of a tar behind %s",
    async (program) => {
      const root = scratch();
      sh(
        root,
        `mkdir -p s/d; echo hello > s/d/f; ln s/d/f s/d/g; echo x > s/.wh.name; truncate -s 1M s/hole; echo end >> s/hole
      tar -S --sort=name --format=pax -c -C s . | ${program} > t`,
      );
      const spool = join(root, "spool");
      const archive = await indexArchive(join(root, "t"), { directory: spool });
      const shown = archive?.entries.map((of) => [of.type, of.path, of.linkname]);
      expect(shown).toEqual([
        ["directory", "", undefined],
        ["file", ".wh.name", undefined],
        ["directory", "d", undefined],
        ["file", "d/f", undefined],
        ["hardlink", "d/g", "d/f"],
        ["file", "hole", undefined],
      ]);
      const texts = archive?.entries.filter(({ type }) => type === "file").map(textOf);
      expect(texts).toEqual(["x\n", "hello\n", `${"\0".repeat(1 << 20)}end\n`]);
      const named = archive?.entries.filter(({ path }) => path.startsWith("d")) ?? [];
      expect((await pack(named)).index.entries).toHaveLength(3);
      await archive?.[Symbol.asyncDispose]();
      expect(readdirSync(spool)).toEqual([]);
    },
  );

  test.each([
    ["text", "seq 1000 > t"],
    ["a short file", "echo hi > t"],
    ["an empty file", ": > t"],
    ["compressed text", "seq 1000 | gzip > t"],
    ["compressed nothing", ": | zstd -qc > t"],
    ["what starts like bzip2", "echo BZh, said the bee > t"],
    ["zeros", "head -c 10240 /dev/zero > t"],
    ["a cut gzip", "seq 100000 | gzip | head -c 60 > t"],
  ])("gives nothing for %s", async (_what, script) => {
    const root = scratch();
    sh(root, script);
    expect(await indexArchive(join(root, "t"), { directory: root })).toBeUndefined();
    expect(readdirSync(root)).toEqual(["t"]);
  });

  test("refuses a tar that ends early and leaves nothing behind", async () => {
    const root = scratch();
    sh(root, "seq 100000 > f; tar -cf full f; head -c 20000 full | gzip > t; rm f full; mkdir spool");
    await expect(indexArchive(join(root, "t"), { directory: join(root, "spool") })).rejects.toMatchObject({
      code: "ARCHIVE_CORRUPT",
    });
    expect(readdirSync(join(root, "spool"))).toEqual([]);
  });

  test("refuses a tar whose paths leave the root", async () => {
    const root = scratch();
    sh(root, "mkdir a; echo x > x; cd a; tar -Pcf ../t ../x");
    await expect(indexArchive(join(root, "t"), { directory: root })).rejects.toMatchObject({ code: "PATH_ESCAPE" });
  });
});

describe("writeTar()", () => {
  test("writes members that GNU tar lists and extracts", async () => {
    const root = scratch();
    const body = chunked(Buffer.from("x".repeat(100_000)), 999);
    const members = [
      { type: "directory", path: "blobs" },
      { type: "file", path: `blobs/${"a".repeat(150)}`, size: 100_000, body },
      { type: "file", path: "index.json", size: 2, body: [Buffer.from("{}")], mtime: 1_000_000_000n, mode: 0o600 },
    ] as const;
    writeFileSync(join(root, "t"), await collect(writeTar(members)));
    const listed = sh(root, "tar --utc -tvf t --full-time | awk '{print $1,$2,$3,$4}'");
    expect(listed).toBe("drwxr-xr-x 0/0 0 1970-01-01\n-rw-r--r-- 0/0 100000 1970-01-01\n-rw------- 0/0 2 1970-01-01\n");
    expect(sh(root, "tar -xf t; cat index.json; wc -c < blobs/a*")).toBe("{}100000\n");
  });

  test("fails where a body has not the size that was said", async () => {
    const members = [{ type: "file", path: "f", size: 3, body: [Buffer.from("x")] }] as const;
    await expect(collect(writeTar(members))).rejects.toThrow('Cannot write "f": its body has not 3 bytes');
  });
});
