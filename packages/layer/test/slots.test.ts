import { expect, test } from "vitest";
import { digestLength, type Slot, SlotReader, SlotWriter } from "../src/slots.ts";
import { fc, test as law } from "./laws.ts";

const sum = fc.uint8Array({ minLength: digestLength, maxLength: digestLength });
const slot: fc.Arbitrary<Slot> = fc.record({
  entry: fc.nat(),
  start: fc.nat(),
  length: fc.nat(),
  path: fc.option(fc.stringMatching(/^\/[a-zä]{1,20}$/), { nil: undefined }),
  position: fc.maxSafeNat(),
  fileSize: fc.option(fc.maxSafeNat(), { nil: undefined }),
  isWhole: fc.boolean(),
  digest: fc.option(
    sum.map((bytes) => `sha256:${Buffer.from(bytes).toString("hex")}` as const),
    { nil: undefined },
  ),
});

law("SlotReader reads what SlotWriter packs", [fc.array(slot)], (slots) => {
  const writer = new SlotWriter();
  for (const each of slots) writer.add(each);
  const packed = writer.pack();
  const reader = new SlotReader(packed);
  expect(reader.count).toBe(slots.length);
  const paths = packed.paths.split("\0");
  for (const [at, each] of slots.entries()) {
    expect(reader.entry(at)).toBe(each.entry);
    expect(reader.start(at)).toBe(each.start);
    expect(reader.length(at)).toBe(each.length);
    expect(paths[at]).toBe(each.path ?? "");
    expect(reader.position(at)).toBe(each.position);
    expect(reader.fileSize(at)).toBe(each.fileSize);
    expect(reader.isWhole(at)).toBe(each.isWhole);
    expect(reader.isKnown(at)).toBe(each.digest !== undefined);
    const known = Buffer.from(packed.digests).toString("hex", digestLength * at, digestLength * (at + 1));
    expect(known).toBe(each.isWhole && each.digest !== undefined ? each.digest.slice(7) : "00".repeat(digestLength));
  }
});

test("SlotWriter packs each segment by itself, however many slots it has", () => {
  const writer = new SlotWriter();
  const each = { path: "/f", position: 0, fileSize: 1, length: 1, start: 0, isWhole: true };
  const counts = [3000, 2, 0].map((count) => {
    for (let entry = 0; entry < count; entry++) writer.add({ ...each, entry, digest: undefined });
    const reader = new SlotReader(writer.pack());
    for (let slot = 0; slot < reader.count; slot++) expect(reader.entry(slot)).toBe(slot);
    return reader.count;
  });
  expect(counts).toEqual([3000, 2, 0]);
});

test("SlotReader refuses a slot that is not there", () => {
  expect(() => new SlotReader(new SlotWriter().pack()).start(0)).toThrow("There is no slot 0");
});
