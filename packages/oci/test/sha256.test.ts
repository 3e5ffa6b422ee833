import { createHash } from "node:crypto";
import { assert, property, uint8Array } from "fast-check";
import { expect, test } from "vitest";
import { digestOf, sha256 } from "@varve/oci";
import { sha256Here } from "../src/sha256.ts";

const hexByNode = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

// FIPS 180-4's examples, as NIST publishes them.
test.each([
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
])("sha256Here() gives what the standard gives for %j", (text, hex) => {
  expect(sha256Here(Buffer.from(text)).toString("hex")).toBe(hex);
});

test("sha256Here() gives what node:crypto gives, for every length up to three blocks", () => {
  for (let length = 0; length <= 200; length += 1) {
    const bytes = Buffer.alloc(length, length + 1);
    expect(sha256Here(bytes).toString("hex")).toBe(hexByNode(bytes));
  }
});

test("sha256Here() gives what node:crypto gives, whatever the bytes", () => {
  assert(
    property(uint8Array({ maxLength: 2000 }), (bytes) => {
      expect(sha256Here(bytes).toString("hex")).toBe(hexByNode(bytes));
    }),
  );
});

test("sha256() and digestOf() give the same before and after so much was hashed that node:crypto is loaded", () => {
  const sizes = [10, 1000, 9000, 10, 9000, 100, 100_000, 10];
  const blobs = sizes.map((size, position) => Buffer.alloc(size, position));
  expect(blobs.map((bytes) => sha256(bytes).toString("hex"))).toEqual(blobs.map(hexByNode));
  expect(blobs.map((bytes) => digestOf(bytes))).toEqual(blobs.map((bytes) => `sha256:${hexByNode(bytes)}`));
});
