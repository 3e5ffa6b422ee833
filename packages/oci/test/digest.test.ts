import { createHash } from "node:crypto";
import { assert, property, uint8Array, array, string } from "fast-check";
import { expect, test } from "vitest";
import { createDigester, digestOf, hexOf, isDigest, parseDigest } from "@varve/oci";

const EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

test("digestOf() gives the digest of the specification's empty content", () => {
  expect(digestOf(new Uint8Array())).toBe(EMPTY);
});

test("parseDigest() takes what digestOf() gives, and hexOf() its hex digits", () => {
  assert(
    property(uint8Array(), (bytes) => {
      const digest = digestOf(bytes);
      expect(parseDigest(digest)).toBe(digest);
      expect(hexOf(digest)).toBe(createHash("sha256").update(bytes).digest("hex"));
    }),
  );
});

test.each([
  "",
  "sha256:",
  EMPTY.toUpperCase(),
  EMPTY.slice(0, -1),
  `${EMPTY}0`,
  EMPTY.replace("sha256", "sha512"),
  `${EMPTY}\n`,
  EMPTY.replace("e", "g"),
])("parseDigest() refuses %j", (text) => {
  expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: "DIGEST_INVALID" }));
  expect(isDigest(text)).toBe(false);
});

test("isDigest() takes no text that is not 71 characters", () => {
  assert(property(string({ maxLength: 70 }), (text) => !isDigest(text)));
});

test("createDigester() gives the digest of all pieces in order", () => {
  assert(
    property(array(uint8Array()), (pieces) => {
      const digester = createDigester();
      for (const piece of pieces) digester.update(piece);
      expect(digester.digest()).toBe(digestOf(Buffer.concat(pieces)));
    }),
  );
});
