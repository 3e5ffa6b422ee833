import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "@varve/oci";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type BlobSegment, cutBlob, digestPieces, readPieces } from "../../src/remote/blob-parts.ts";

const root = mkdtempSync(join(tmpdir(), "varve-parts-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const segment = (offset: number, length: number): BlobSegment => ({
  tarDigest: digestOf(Buffer.from(String(offset))),
  offset,
  length,
});

describe("cutBlob()", () => {
  test.each<[string, number, readonly BlobSegment[], readonly (readonly [number, number])[]]>([
    ["no segments", 10, [], [[0, 10]]],
    [
      "what stands around them",
      30,
      [segment(10, 5), segment(15, 5)],
      [
        [0, 10],
        [10, 5],
        [15, 5],
        [20, 10],
      ],
    ],
    [
      "nothing around them",
      10,
      [segment(0, 4), segment(4, 6)],
      [
        [0, 4],
        [4, 6],
      ],
    ],
    ["an empty blob", 0, [], []],
    ["segments beyond the blob: one piece", 10, [segment(0, 4), segment(4, 60)], [[0, 10]]],
    ["segments over each other: one piece", 10, [segment(0, 6), segment(4, 6)], [[0, 10]]],
  ])("gives %s", (_, size, segments, expected) => {
    expect(cutBlob(size, segments).map(({ offset, length }) => [offset, length])).toEqual(expected);
  });

  test("leaves no gap, whatever the segments", async () => {
    const spans = fc.array(fc.tuple(fc.nat(50), fc.nat(50)), { maxLength: 8 });
    fc.assert(
      fc.property(spans, fc.nat(600), (pairs, size) => {
        let end = 0;
        const segments = pairs.map(([gap, length]) => {
          const offset = end + gap;
          end = offset + length;
          return segment(offset, length);
        });
        const pieces = cutBlob(size, segments);
        let covered = 0;
        for (const { offset, length } of pieces) {
          expect(offset).toBe(covered);
          expect(length).toBeGreaterThan(0);
          covered += length;
        }
        expect(covered).toBe(size);
      }),
    );
  });
});

test("digestPieces() and readPieces() agree about the bytes of a blob", async () => {
  const path = join(root, "blob");
  const bytes = randomBytes(700_000);
  writeFileSync(path, bytes);
  const pieces = cutBlob(bytes.length, [segment(10, 300_000), segment(300_010, 5)]);
  const parts = await digestPieces(path, pieces);
  expect(parts.map(({ digest }) => digest)).toEqual(
    pieces.map(({ offset, length }) => digestOf(bytes.subarray(offset, offset + length))),
  );
  const chunks: Uint8Array[] = [];
  for await (const chunk of readPieces(path, pieces.slice(1, 3))) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(bytes.subarray(10, 300_015))).toBe(true);
});
