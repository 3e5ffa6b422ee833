import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { joinHardlinks, scanDirectory } from "../src/index.ts";
import { everything, scratch, sh } from "./scratch.ts";

function tree(script: string): string {
  const root = scratch();
  sh(root, script);
  return root;
}

describe("scanDirectory()", () => {
  test("gives every path in the order of its bytes", () => {
    const root = tree(
      `${everything} mkdir -p b b-c 'b!' b.d; touch b/z b-c/y 'b!/x' b.d/w 'b0' $'\\xf0\\x9f\\x98\\x80' $'\\xef\\xbf\\xae'`,
    );
    const paths = scanDirectory(root).map(({ path }) => path);
    expect(paths).toEqual(paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect(paths.length).toBe(Number(sh(root, "find . -mindepth 1 -printf x | wc -c")));
  });

  test("tells what lstat tells", () => {
    const entries = scanDirectory(tree(everything), { xattrs: "read" });
    const at = (path: string): unknown => entries.find((entry) => entry.path === path);
    expect(at("a/f")).toMatchObject({ type: "file", mode: 0o4755, uid: 12, gid: 34, size: 3, identity: { links: 2 } });
    expect(at("e/fraction")).toMatchObject({ mtime: 1_700_000_000_123_456_789n });
    expect(at("e/negative")).toMatchObject({ mtime: -1_500_000_000n });
    expect(at("l")).toMatchObject({ type: "symlink", linkname: "/etc/x", uid: 5, size: 0, mode: 0o777 });
    expect(at("blk")).toMatchObject({ type: "block-device", device: { major: 7, minor: 300 } });
    expect(at("p")).toMatchObject({ type: "fifo" });
    expect(at("a/b")).toMatchObject({
      type: "directory",
      mode: 0o2750,
      xattrs: { "user.x": Uint8Array.from(Buffer.from("1")) },
    });
    expect(at("a/bb")).toHaveProperty(["xattrs", "security.capability"]);
  });

  test("leaves sockets out", () => {
    const root = tree(`python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('s')"; touch f`);
    expect(scanDirectory(root).map(({ path }) => path)).toEqual(["f"]);
  });

  test("drops what is not chosen, and directories that are only passed when they stay empty", () => {
    const root = tree(
      "mkdir -p a/keep a/drop b/c pass/x pass-2/y; touch a/keep/1 a/drop/2 b/c/3 pass/x/no pass-2/y/yes",
    );
    const choose = (path: string): "keep" | "drop" | "pass" => {
      if (path === "a/drop") return "drop";
      return path.startsWith("pass") && path !== "pass-2/y/yes" ? "pass" : "keep";
    };
    expect(scanDirectory(root, { choose }).map(({ path }) => path)).toEqual([
      "a",
      "a/keep",
      "a/keep/1",
      "b",
      "b/c",
      "b/c/3",
      "pass-2",
      "pass-2/y",
      "pass-2/y/yes",
    ]);
  });

  test.each([
    ["a name", `touch $'d/latin-\\xe4'`],
    ["a symlink's target", `ln -s $'\\xe4' d/l`],
  ])("refuses %s that is not UTF-8, naming the place", (_what, script) => {
    const root = tree(`mkdir d; ${script}`);
    expect(() => scanDirectory(root)).toThrow(
      expect.objectContaining({
        code: "ENTRY_UNSUPPORTED",
        path: expect.stringContaining(`${root}/d`) as string,
      }) as Error,
    );
  });

  test("takes a name that holds the replacement character", () => {
    expect(scanDirectory(tree("touch '\ufffd'")).map(({ path }) => path)).toEqual(["\ufffd"]);
  });

  test("refuses a directory that is none", () => {
    expect(() => scanDirectory(join(scratch(), "absent"))).toThrow(
      expect.objectContaining({ code: "SOURCE_MISSING" }) as Error,
    );
  });
});

test("joinHardlinks() makes all but the first path of an inode hard links", () => {
  const entries = joinHardlinks(scanDirectory(tree("echo 1 > b; ln b a; ln b c; echo 2 > d")));
  expect(entries.map(({ path, type, linkname }) => [path, type, linkname])).toEqual([
    ["a", "file", undefined],
    ["b", "hardlink", "a"],
    ["c", "hardlink", "a"],
    ["d", "file", undefined],
  ]);
  expect(entries[0]).not.toHaveProperty("identity");
});
