/** The files of images: unpacked and mounted. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mountsBelow, Workspace } from "./varve.ts";

const DOCKERFILE = `FROM busybox
RUN mkdir -p /d/sub && echo one > /d/one && chown app:app /d/one && chmod 4750 /d/one && ln /d/one /d/two && ln -s one /d/link && echo gone > /d/sub/gone
RUN rm -r /d/sub && mkdir -m 1777 /d/open
`;

describe("the files of an image", () => {
  const work = new Workspace();

  beforeAll(async () => {
    await work.build(["-t", "app:1", work.context({ Dockerfile: DOCKERFILE })]);
  });

  afterAll(() => {
    expect(mountsBelow(work.path)).toEqual([]);
    work[Symbol.dispose]();
  });

  const look = (root: string): readonly unknown[] => {
    const [one, two, open] = ["one", "two", "open"].map((name) => lstatSync(join(root, "d", name)));
    return [
      readdirSync(join(root, "d")).toSorted(),
      [one?.uid, one?.gid, (one?.mode ?? 0) & 0o7777, (open?.mode ?? 0) & 0o7777],
      one?.ino === two?.ino,
      readFileSync(join(root, "d", "link"), "utf8"),
      (lstatSync(root).mode & 0o7777).toString(8),
    ];
  };
  const expected = [["link", "one", "open", "two"], [1000, 1000, 0o4750, 0o1777], true, "one\n", "755"];

  test("are unpacked with owners, modes, links and removals, from any place", async () => {
    await work.run(["save", "-o", work.file("app.tar"), "app:1"]);
    for (const [position, place] of ["app:1", `docker-archive:${work.file("app.tar")}`].entries()) {
      const target = work.file(`unpacked-${position}`);
      const { code, stderr } = await work.run(["unpack", place, target]);
      expect([code, stderr]).toEqual([0, ""]);
      expect(look(target)).toEqual(expected);
    }
    const again = await work.run(["unpack", "app:1", work.file("unpacked-0")]);
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/error EXPORT_FAILED: .*not empty/)]);
    expect(readdirSync(work.path).filter((name) => name.includes("partial"))).toEqual([]);
  });

  test("are mounted read-only, listed, and gone after umount", async () => {
    const target = work.file("mounted");
    mkdirSync(target);
    expect((await work.run(["mount", "app:1", target])).stderr).toBe("");
    expect(look(target)).toEqual(expected);
    expect(() => writeFileSync(join(target, "x"), "")).toThrow("EROFS");
    expect((await work.run(["mount"])).stdout).toBe(`app:1 ${target}\n`);
    expect((await work.run(["cache", "du"])).code).toBe(0);
    expect(readdirSync(target)).toContain("d");
    expect((await work.run(["umount", target])).code).toBe(0);
    expect(readdirSync(target)).toEqual([]);
    expect(mountsBelow(work.path)).toEqual([]);
    expect(readdirSync(join(work.store, "mounted"))).toEqual([]);
  });

  test("are mounted writable, without a trace in the image", async () => {
    const target = work.file("writable");
    mkdirSync(target);
    await work.run(["mount", "--writable", "app:1", target]);
    writeFileSync(join(target, "made"), "");
    await work.run(["umount", target]);
    expect((await work.run(["run", "app:1", "ls", "/made"])).code).toBe(1);
  });

  test("stay mounted where they are in use, and a reboot's leftovers go", async () => {
    const target = work.file("used");
    mkdirSync(target);
    await work.run(["mount", "app:1", target]);
    const file = openSync(join(target, "d", "one"), "r");
    const { code, stderr } = await work.run(["umount", target]);
    closeSync(file);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/error MOUNT_FAILED: .*EBUSY/)]);
    for (const path of mountsBelow(work.path).toReversed()) execFileSync("umount", [path]);
    expect((await work.run(["mount"])).stdout).toBe("");
    expect(readdirSync(join(work.store, "mounted"))).toEqual([]);
  });

  test.each([
    ["mounting at a file", ["mount", "app:1", "FILE"], 1, /error MOUNT_FAILED: .*it is no directory/],
    ["unmounting what is not mounted", ["umount", "/nowhere"], 1, /error IMAGE_UNKNOWN/],
    ["unpacking nothing", ["unpack", "varve:none", "/nowhere/x"], 1, /error IMAGE_UNKNOWN/],
    ["a missing directory", ["unpack", "app:1"], 2, /DIRECTORY was not given/],
  ] as const)("tell what is wrong with %s", async (_, args, code, message) => {
    writeFileSync(work.file("FILE"), "");
    const outcome = await work.run(args.map((word) => (word === "FILE" ? work.file("FILE") : word)));
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(code);
    expect(existsSync("/nowhere")).toBe(false);
  });
});
