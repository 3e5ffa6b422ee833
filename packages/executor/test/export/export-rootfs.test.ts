import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { digestOf, hexOf } from "@varve/oci";
import { describe, expect, test } from "vitest";
import { exportLocal, exportTar } from "../../src/export/export-rootfs.ts";
import { buildImages, collect } from "./built.ts";

const TREE = `FROM busybox AS made
RUN mkdir /out && echo one > /out/one && ln /out/one /out/two && ln -s one /out/link && chown 7:8 /out/one && chmod 4755 /out/one
RUN echo gone > /out/gone && rm /out/gone
FROM scratch
COPY --from=made /out /out
`;

describe("exportLocal()", () => {
  test("writes files, links and modes, all owned by the user who builds", async () => {
    const { result, options, path } = await buildImages({ dockerfile: TREE });
    await exportLocal(result.images, path("files"), { build: options, split: undefined });
    const out = path("files/out");
    expect(readdirSync(out).sort()).toEqual(["link", "one", "two"]);
    expect(readFileSync(join(out, "link"), "utf8")).toBe("one\n");
    const [one, two] = [lstatSync(join(out, "one")), lstatSync(join(out, "two"))];
    expect(one.ino).toBe(two.ino);
    // Set-user-ID named user 7: it must not come to mean the user who builds.
    expect([one.uid, one.gid, one.mode & 0o7777]).toEqual([process.getuid?.(), process.getgid?.(), 0o755]);
    expect(lstatSync(path("files")).mode & 0o777).toBe(0o755);
  });

  test("writes over what is in a directory, and leaves the rest", async () => {
    const { result, options, path } = await buildImages({
      dockerfile: "FROM scratch\nCOPY a.txt /a.txt\n",
      files: { "a.txt": "new\n" },
    });
    mkdirSync(path("files"));
    writeFileSync(path("files/a.txt"), "old\n");
    writeFileSync(path("files/b.txt"), "kept\n");
    await exportLocal(result.images, path("files"), { build: options, split: undefined });
    expect(readFileSync(path("files/a.txt"), "utf8")).toBe("new\n");
    expect(readFileSync(path("files/b.txt"), "utf8")).toBe("kept\n");
  });

  test("gives each of several platforms a directory", async () => {
    const { result, options, path } = await buildImages({
      dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n",
      platforms: ["linux/amd64", "linux/arm/v7"],
    });
    await exportLocal(result.images, path("files"), { build: options, split: undefined });
    expect(readFileSync(path("files/linux_amd64/arch"), "utf8")).toBe("amd64\n");
    expect(readFileSync(path("files/linux_arm_v7/arch"), "utf8")).toBe("arm\n");
  });

  test("puts platforms into one directory with split: false, and refuses one file of two", async () => {
    const platforms = ["linux/amd64", "linux/arm64"];
    const apart = await buildImages({
      dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY a.txt /bin/$TARGETARCH\n",
      files: { "a.txt": "a\n" },
      platforms,
    });
    await exportLocal(apart.result.images, apart.path("files"), { build: apart.options, split: false });
    expect(readdirSync(apart.path("files/bin")).sort()).toEqual(["amd64", "arm64"]);
    const same = await buildImages({
      dockerfile: "FROM scratch\nCOPY a.txt /a\n",
      files: { "a.txt": "a\n" },
      platforms,
    });
    await expect(
      exportLocal(same.result.images, same.path("files"), { build: same.options, split: false }),
    ).rejects.toMatchObject({ code: "EXPORT_FAILED", message: expect.stringContaining('Cannot write "a"') as string });
    expect(existsSync(same.path("files"))).toBe(false);
  });

  test("dates everything by the epoch", async () => {
    const { result, options, path } = await buildImages({
      dockerfile: "FROM scratch\nCOPY a.txt /d/a.txt\n",
      files: { "a.txt": "a\n" },
      epoch: 1_000_000_000,
    });
    await exportLocal(result.images, path("files"), { build: options, split: true });
    for (const name of ["linux_amd64/d", "linux_amd64/d/a.txt"])
      expect(lstatSync(path(`files/${name}`)).mtimeMs).toBe(1e12);
  });

  test("leaves nothing where it can't write, and says where", async () => {
    const { result, options, path } = await buildImages({
      dockerfile: "FROM scratch\nCOPY a.txt /a.txt\n",
      files: { "a.txt": "a\n" },
    });
    writeFileSync(path("plain"), "");
    const target = path("plain/files");
    await expect(exportLocal(result.images, target, { build: options, split: undefined })).rejects.toMatchObject({
      code: "EXPORT_FAILED",
      message: expect.stringMatching(`Cannot write "${target}": E(?:NOTDIR|EXIST)`) as string,
    });
    const cancelled = { ...options, signal: AbortSignal.abort(new Error("cancelled")) };
    const fresh = path("fresh/files");
    await expect(exportLocal(result.images, fresh, { build: cancelled, split: undefined })).rejects.toThrow(
      "cancelled",
    );
    expect(existsSync(dirname(fresh)) ? readdirSync(dirname(fresh)) : []).toEqual([]);
  });
});

describe("exportTar()", () => {
  test("gives GNU tar the image's files with their owners, links and modes", async () => {
    const { result, options, path } = await buildImages({ dockerfile: TREE });
    const bytes = await collect(exportTar(result.images, { build: options, split: undefined }));
    writeFileSync(path("x.tar"), bytes);
    const lines = execFileSync("tar", ["--numeric-owner", "-tvf", path("x.tar")], { encoding: "utf8" }).split("\n");
    const seen = lines.filter((line) => line !== "").map((line) => line.replace(/ +\d+ \S+ \S+ /, " "));
    expect(seen).toEqual([
      "drwxr-xr-x 0/0 out/",
      "lrwxrwxrwx 0/0 out/link -> one",
      "-rwsr-xr-x 7/8 out/one",
      "hrwsr-xr-x 7/8 out/two link to out/one",
    ]);
  });

  test("keeps nothing of it in the store", async () => {
    const { result, options } = await buildImages({
      dockerfile: "FROM scratch\nCOPY a.txt /a.txt\n",
      files: { "a.txt": "a\n".repeat(100_000) },
    });
    const bytes = await collect(exportTar(result.images, { build: options, split: undefined }));
    expect(bytes.length).toBeGreaterThan(200_000);
    expect(readdirSync(join(options.store.path, "blobs/sha256"))).not.toContain(hexOf(digestOf(bytes)));
    expect(readdirSync(join(options.store.path, "tmp"))).toEqual([]);
  });

  test("ends where its reader goes away", async () => {
    const { result, options } = await buildImages({ dockerfile: "FROM busybox\n" });
    for await (const chunk of exportTar(result.images, { build: options, split: undefined })) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
  });
});
