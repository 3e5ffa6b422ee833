import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGzip, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  applyLayer,
  type Entry,
  extractLayer,
  joinHardlinks,
  type LayerError,
  lgetxattr,
  scanDirectory,
} from "../src/index.ts";
import { encodeHeader } from "../src/write-header.ts";
import { chunked, describeTree, directory, entry, everything, file, pack, scratch, sh } from "./scratch.ts";
import { fc, test as law } from "./laws.ts";

/** A tar of headers as they are given, in that order, whatever sense they make. */
function rawTar(members: readonly (readonly [name: string, entry: Partial<Entry>, text?: string])[]): Buffer {
  const parts = members.flatMap(([name, properties, text = ""]) => {
    const header = Buffer.from(encodeHeader(entry("x", { ...properties, size: text.length })));
    header.fill(0, 0, 100).write(name);
    header.fill(0x20, 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return [header, Buffer.from(text.padEnd(Math.ceil(text.length / 512) * 512, "\0"))];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

const dir = { type: "directory", mode: 0o755 } as const;
const link = (linkname: string): Partial<Entry> => ({ type: "symlink", linkname });
const hard = (linkname: string): Partial<Entry> => ({ type: "hardlink", linkname });

async function extractRaw(
  members: Parameters<typeof rawTar>[0],
  root: string = join(scratch(), "root"),
): Promise<string> {
  await extractLayer(chunked(rawTar(members)), { directory: root, overlay: "trusted" });
  return root;
}

describe("extractLayer()", () => {
  test.each(["gzip", "zstd", "none"] as const)("gives back the tree that was packed: %s", async (type) => {
    const root = scratch();
    sh(root, `mkdir src && cd src && ${everything}`);
    const { blob, layer, contentDigest, index } = await pack(
      joinHardlinks(scanDirectory(join(root, "src"), { xattrs: "read" })),
      { type },
    );
    const out = join(root, "out");
    const options = { directory: out, overlay: "none", expectedDiffId: layer.diffId } as const;
    const { segments: _segments, ...extracted } = {
      segments: undefined,
      ...(await extractLayer(chunked(blob), options)),
    };
    expect(describeTree(out)).toBe(describeTree(join(root, "src")));
    expect(extracted).toEqual({ diffId: layer.diffId, contentDigest, entries: index.entries });
  });

  test("extracts what GNU tar packed as GNU tar does", async () => {
    const root = scratch();
    sh(root, `mkdir src out && cd src && ${everything} truncate -s 5M sparse; echo end >> sparse; cd ..`);
    sh(
      root,
      `tar -S --xattrs --xattrs-include='*' --format=pax -cf layer -C src . ; tar --xattrs --xattrs-include='*' -xpf layer -C out 2>/dev/null`,
    );
    await extractLayer(chunked(readFileSync(join(root, "layer"))), { directory: join(root, "ours"), overlay: "none" });
    expect(describeTree(join(root, "ours"))).toBe(describeTree(join(root, "out")));
    expect(statSync(join(root, "ours/sparse")).blocks).toBeLessThan(100);
  });

  test.each(["trusted", "user"] as const)(
    "writes whiteouts and opaque directories for overlayfs: %s",
    async (overlay) => {
      const { blob } = await pack([
        directory("d"),
        entry("d", { type: "opaque" }),
        file("d/f", "x"),
        entry("e/gone", { type: "whiteout" }),
      ]);
      const root = join(scratch(), "root");
      const index = await extractLayer(chunked(blob), { directory: root, overlay });
      expect(lstatSync(join(root, "e/gone"))).toMatchObject({ rdev: 0 });
      expect(lstatSync(join(root, "e/gone")).isCharacterDevice()).toBe(true);
      expect(Buffer.from(lgetxattr(join(root, "d"), `${overlay}.overlay.opaque`) ?? []).toString()).toBe("y");
      expect(index.entries.map(({ type, path }) => `${type} ${path}`)).toEqual([
        "directory d",
        "opaque d",
        "file d/f",
        "whiteout e/gone",
      ]);
    },
  );

  test("writes no whiteouts where none are asked for", async () => {
    const { blob } = await pack([entry("d/gone", { type: "whiteout" }), entry("d", { type: "opaque" })]);
    const root = join(scratch(), "root");
    await extractLayer(chunked(blob), { directory: root, overlay: "none" });
    expect(sh(root, "find . -mindepth 1")).toBe("./d\n");
    expect(sh(root, "getfattr -dm- -e hex d 2>/dev/null || true")).toBe("");
  });

  test.each([
    ["the whiteout first", ["w", "d", "f"]],
    ["the whiteout last", ["d", "f", "w"]],
    ["no entry for the directory", ["w", "f"]],
  ])("makes a directory that the same layer whites out an opaque one: %s", async (_order, order) => {
    const members: Record<string, readonly [string, Partial<Entry>, string?]> = {
      w: [".wh.d", {}],
      d: ["d/", dir],
      f: ["d/f", {}, "new"],
    };
    const root = await extractRaw(order.flatMap((key) => (members[key] === undefined ? [] : [members[key]])));
    expect(readFileSync(join(root, "d/f"), "utf8")).toBe("new");
    expect(lgetxattr(join(root, "d"), "trusted.overlay.opaque")).toBeDefined();
  });

  test("gives directories that are only named as parents mode 755 and time 0", async () => {
    const root = await extractRaw([["a/b/f", {}, "x"]]);
    expect(sh(root, "stat -c '%n %a %u %Y' a a/b")).toBe("a 755 0 0\na/b 755 0 0\n");
  });

  test("keeps times of directories that are written to later", async () => {
    const { blob } = await pack([directory("d", { mode: 0o555, mtime: 5_000_000_007n }), file("d/f", "x")]);
    const root = join(scratch(), "root");
    await extractLayer(chunked(blob), { directory: root, overlay: "none" });
    expect(lstatSync(join(root, "d"), { bigint: true }).mtimeNs).toBe(5_000_000_007n);
    expect(lstatSync(join(root, "d")).mode & 0o7777).toBe(0o555);
  });

  test("lets a later entry replace an earlier one, directories merge", async () => {
    const root = await extractRaw([
      ["a", {}, "file"],
      ["a/", dir],
      ["a/x", {}, "x"],
      ["b/", dir],
      ["b/x", {}, "x"],
      ["b", {}, "file"],
      ["c", link("a")],
      ["c", {}, "not through the link"],
      ["d/", { ...dir, mode: 0o700 }],
      ["d/x", {}, "x"],
      ["d/", { ...dir, mode: 0o711 }],
    ]);
    expect(readFileSync(join(root, "a/x"), "utf8")).toBe("x");
    expect(readFileSync(join(root, "b"), "utf8")).toBe("file");
    expect(lstatSync(join(root, "c")).isFile()).toBe(true);
    expect(sh(root, "stat -c %a d; cat d/x")).toBe("711\nx");
  });

  test("refuses a layer whose tar has another digest", async () => {
    const { blob } = await pack([file("f", "x")]);
    const expectedDiffId = `sha256:${"0".repeat(64)}` as const;
    const options = { directory: join(scratch(), "root"), overlay: "none", expectedDiffId } as const;
    await expect(extractLayer(chunked(blob), options)).rejects.toMatchObject({ code: "DIFF_ID_MISMATCH" });
  });

  test("never sets attributes that steer overlayfs or belong to the machine", async () => {
    const xattrs = {
      "trusted.overlay.redirect": Buffer.from("/etc"),
      "trusted.overlay.opaque": Buffer.from("y"),
      "security.selinux": Buffer.from("s"),
      "user.ok": Buffer.from("1"),
    };
    const { blob } = await pack([directory("d", { xattrs })]);
    const root = join(scratch(), "root");
    await extractLayer(chunked(blob), { directory: root, overlay: "trusted" });
    expect(sh(root, "getfattr -dm- d | grep -c =")).toBe("1\n");
    expect(lgetxattr(join(root, "d"), "user.ok")).toEqual(Uint8Array.from(Buffer.from("1")));
  });
});

describe("extractLayer() stays inside its directory", () => {
  test("follows links among parents as if the directory were the root", async () => {
    const top = scratch();
    mkdirSync(join(top, "outside"));
    const root = await extractRaw(
      [
        ["usr/lib/", dir],
        ["lib", link("usr/lib")],
        ["lib/x", {}, "1"],
        ["abs", link("/outside")],
        ["abs/x", {}, "2"],
        ["up", link("../../../../outside")],
        ["up/y", {}, "3"],
        ["here", link(top)],
        ["here/outside/z", {}, "4"],
        ["/rooted", {}, "5"],
        ["./dot/./f", {}, "6"],
      ],
      join(top, "root"),
    );
    expect(sh(top, "ls outside")).toBe("");
    expect(sh(root, "cat usr/lib/x outside/x outside/y rooted dot/f;")).toBe("12356");
    expect(readFileSync(join(root, top, "outside/z"), "utf8")).toBe("4");
  });

  test("gives the paths at which entries stand", async () => {
    const root = join(scratch(), "root");
    const tar = rawTar([
      ["usr/lib/", dir],
      ["lib", link("usr/lib")],
      ["lib/x", {}, "1"],
    ]);
    const index = await extractLayer(chunked(tar), { directory: root, overlay: "none" });
    expect(index.entries.map(({ path }) => path)).toEqual(["usr/lib", "lib", "usr/lib/x"]);
  });

  test.each<[string, Parameters<typeof rawTar>[0], LayerError["code"]]>([
    ["a path with ..", [["../evil", {}, "x"]], "PATH_ESCAPE"],
    ["a path with .. inside", [["a/../../evil", {}, "x"]], "PATH_ESCAPE"],
    ["a whiteout with ..", [["../.wh.evil", {}]], "PATH_ESCAPE"],
    ["a hard link with ..", [["l", hard("../../etc/passwd")]], "PATH_ESCAPE"],
    ["a hard link to an absolute path", [["l", hard("/etc/passwd")]], "ARCHIVE_CORRUPT"],
    [
      "a hard link through a link",
      [
        ["d", link("/etc")],
        ["l", hard("d/passwd")],
      ],
      "ARCHIVE_CORRUPT",
    ],
    [
      "a hard link to itself",
      [
        ["l", {}, "x"],
        ["l", hard("l")],
      ],
      "ARCHIVE_CORRUPT",
    ],
    [
      "a hard link to a directory",
      [
        ["d/", dir],
        ["l", hard("d")],
      ],
      "ARCHIVE_CORRUPT",
    ],
    [
      "a file as a parent",
      [
        ["f", {}, "x"],
        ["f/g", {}, "x"],
      ],
      "ARCHIVE_CORRUPT",
    ],
    [
      "links in a circle",
      [
        ["a", link("b")],
        ["b", link("a")],
        ["a/x", {}, "x"],
      ],
      "LINK_LOOP",
    ],
    ["a name of 300 bytes", [["n".repeat(90), {}]], "ENTRY_UNSUPPORTED"],
    ["a whiteout of nothing", [["d/.wh.", {}]], "ARCHIVE_CORRUPT"],
    ["a whiteout of ..", [["d/.wh...", {}]], "ARCHIVE_CORRUPT"],
  ])("refuses %s", async (what, members, code) => {
    const top = scratch();
    const root = join(top, "root");
    const tar = what.startsWith("a name of 300") ? (await pack([file("n".repeat(300), "")])).blob : rawTar(members);
    await expect(extractLayer(chunked(tar), { directory: root, overlay: "trusted" })).rejects.toMatchObject({ code });
    expect(sh(top, "ls")).toBe("root\n");
  });

  law(
    "whatever is damaged in a tar",
    [fc.array(fc.tuple(fc.nat(4095), fc.nat(255)), { minLength: 1, maxLength: 6 })],
    async (flips) => {
      const top = scratch();
      writeFileSync(join(top, "canary"), "alive");
      const tar = rawTar([
        ["a", link("..")],
        ["b", link("/")],
        ["a/canary", {}, "dead"],
        ["../canary", {}, "dead"],
      ]);
      for (const [at, byte] of flips) tar[at % tar.length] = byte;
      for (let at = 0; at < tar.length; at += 512) fixChecksum(tar.subarray(at, at + 512));
      const options = { directory: join(top, "root"), overlay: "trusted", limits: { bytes: 1e6 } } as const;
      await extractLayer(chunked(tar), options).catch((error: unknown) => expect(error).toHaveProperty("code"));
      expect(readFileSync(join(top, "canary"), "utf8")).toBe("alive");
      expect(sh(top, "ls")).toBe("canary\nroot\n");
    },
    60,
  );

  test("stops at a decompression bomb", async () => {
    const gzip = createGzip();
    const bomb = (async function* () {
      const header = encodeHeader(entry("zeros", { size: 2 ** 33 - 512 }));
      gzip.write(Buffer.from(header));
      for (let sent = 0; sent < 40; sent++) gzip.write(Buffer.alloc(1 << 20));
      gzip.end();
      yield* gzip;
    })();
    const options = { directory: join(scratch(), "root"), overlay: "none", limits: { bytes: 10 << 20 } } as const;
    await expect(extractLayer(bomb as AsyncIterable<Uint8Array>, options)).rejects.toMatchObject({
      code: "ARCHIVE_TOO_LARGE",
    });
  });

  test("stops at a sparse file that is larger than allowed before it digests its holes", async () => {
    const root = scratch();
    sh(root, "truncate -s 900G s; tar -S --format=pax -cf t s; gzip -k t");
    const options = { directory: join(root, "out"), overlay: "none" } as const;
    await expect(extractLayer(chunked(readFileSync(join(root, "t.gz"))), options)).rejects.toMatchObject({
      code: "ARCHIVE_TOO_LARGE",
    });
  });
});

describe("applyLayer()", () => {
  const base = "mkdir -p d/e; echo 1 > d/f; echo 2 > d/e/g; echo 3 > keep; mkdir both; echo o > both/old";

  async function applied(entries: readonly Entry[]): Promise<string> {
    const root = scratch();
    sh(root, base);
    await applyLayer(chunked(gzipSync((await pack(entries)).blob)), { directory: root });
    return sh(root, "find . -mindepth 1 | sort | tr '\\n' ' '").trim();
  }

  test("removes what the layer whites out and keeps what it adds", async () => {
    expect(await applied([entry("d/e", { type: "whiteout" }), directory("d"), file("d/n", "")])).toBe(
      "./both ./both/old ./d ./d/f ./d/n ./keep",
    );
  });

  test("empties an opaque directory of all that the layer does not add", async () => {
    const entries = [directory("d"), directory("d/e"), file("d/e/new", ""), entry("d", { type: "opaque" })];
    expect(await applied(entries)).toBe("./both ./both/old ./d ./d/e ./d/e/new ./keep");
  });

  test("lets whiteouts act on lower layers only", async () => {
    const entries = [
      entry("both", { type: "whiteout" }),
      directory("both"),
      file("both/new", ""),
      entry("keep", { type: "whiteout" }),
      file("keep", ""),
    ];
    expect(await applied(entries)).toBe("./both ./both/new ./d ./d/e ./d/e/g ./d/f ./keep");
  });

  test("replaces a directory by a file and a file by a directory", async () => {
    expect(await applied([file("d", ""), directory("keep"), file("keep/in", "")])).toBe(
      "./both ./both/old ./d ./keep ./keep/in",
    );
  });
});

function fixChecksum(block: Buffer): void {
  if (block.length < 512 || block.every((byte) => byte === 0)) return;
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
}

test("extractLayer() makes its directory", async () => {
  const root = join(scratch(), "a/b");
  await extractLayer(chunked((await pack([])).blob), { directory: root, overlay: "none" });
  expect(existsSync(root)).toBe(true);
});
