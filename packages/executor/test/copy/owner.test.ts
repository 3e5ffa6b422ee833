import { stackTrees } from "@varve/layer";
import type { Entry } from "@varve/layer";
import { digestOf } from "@varve/oci";
import { describe, expect, test } from "vitest";
import { namesOwner, resolveOwner } from "../../src/copy/owner.ts";

const digest = digestOf(Buffer.alloc(0));
const PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:1000:500::/home/app:/bin/sh\n";
const GROUP = "root:x:0:\nusers:x:100:\n";

function fileOf(path: string, text: string): Entry {
  const bytes = Buffer.from(text);
  return { path, type: "file", mode: 0o644, uid: 0, gid: 0, size: bytes.length, mtime: 0n, digest, content: { bytes } };
}

const entries = [fileOf("etc/passwd", PASSWD), fileOf("etc/group", GROUP)];
const tree = stackTrees([{ index: { diffId: digest, contentDigest: digest, entries } }]);

describe("resolveOwner()", () => {
  test.each([
    ["", 0, 0],
    ["app", 1000, 500],
    ["app:users", 1000, 100],
    ["app:7", 1000, 7],
    ["app:", 1000, 0],
    ["app:nobody", 1000, 500],
    ["1000", 1000, 1000],
    ["5:users", 5, 100],
    [":7", 0, 7],
    [":", 0, 0],
    ["nobody", 0, 0],
    ["nobody:users", 0, 100],
  ])("gives %j as BuildKit does", (chown, uid, gid) => {
    expect(resolveOwner(chown, { tree, remember: () => undefined })).toEqual({ uid, gid });
  });

  test("remembers every name that it looked up, and nothing for numbers", () => {
    const asked: string[] = [];
    const remember = (question: string, answer: string): void => void asked.push(`${question} = ${answer}`);
    for (const chown of ["app:users", "no", "1:2"]) resolveOwner(chown, { tree, remember });
    expect(asked).toEqual(["user app = 1000:500", "group users = 100", "user no = absent"]);
    expect(["1:2", "1", "", ":", "a:1", "1:a"].map(namesOwner)).toEqual([false, false, false, false, true, true]);
  });

  test("refuses names where there is nothing to look them up in", () => {
    expect(() => resolveOwner("app", { tree: undefined, remember: () => undefined })).toThrowError(
      expect.objectContaining({ code: "USER_UNKNOWN" }),
    );
  });
});
