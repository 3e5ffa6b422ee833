import { lstatSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { lgetxattr, llistxattr, lsetxattr, lutimens, mknod, mount, readXattrs, umount2 } from "../src/index.ts";
import { scratch, sh } from "./scratch.ts";

describe("libc", () => {
  test("mknod() makes device nodes of any number", () => {
    const path = join(scratch(), "node");
    mknod(path, 0o020640, { major: 4095, minor: 1_048_575 });
    expect(sh("/", `stat -c '%t:%T %F' ${path}`)).toBe("fff:fffff character special file\n");
  });

  test("xattrs of a link are its own", () => {
    const root = scratch();
    sh(root, "echo x > f; ln -s f l");
    lsetxattr(join(root, "l"), "trusted.t", Buffer.from("a\0b"));
    expect(llistxattr(join(root, "l"))).toEqual(["trusted.t"]);
    expect(lgetxattr(join(root, "l"), "trusted.t")).toEqual(Uint8Array.from(Buffer.from("a\0b")));
    expect(llistxattr(join(root, "f"))).toEqual([]);
    expect(lgetxattr(join(root, "f"), "trusted.t")).toBeUndefined();
    expect(readXattrs(join(root, "f"))).toBeUndefined();
  });

  test.each([0n, 1n, -1n, -1_500_000_000n, 4_000_000_000_123_456_789n])("lutimens() sets %s", (time) => {
    const path = join(scratch(), "f");
    writeFileSync(path, "");
    lutimens(path, time);
    expect(lstatSync(path, { bigint: true }).mtimeNs).toBe(time);
  });

  test("mount() and umount2() mount and unmount", () => {
    const root = scratch();
    mount("none", root, { type: "tmpfs", options: "size=64k,mode=711" });
    expect(lstatSync(root).mode & 0o777).toBe(0o711);
    umount2(root, 0);
    expect(lstatSync(root).mode & 0o777).toBe(0o700);
  });

  test("errors are as node's own", () => {
    const path = join(scratch(), "absent");
    expect(() => llistxattr(path)).toThrow(
      expect.objectContaining({
        code: "ENOENT",
        syscall: "llistxattr",
        path,
        message: `ENOENT: no such file or directory, llistxattr '${path}'`,
      }) as Error,
    );
    expect(() => umount2(path, 0)).toThrow(expect.objectContaining({ code: "ENOENT" }) as Error);
  });
});
