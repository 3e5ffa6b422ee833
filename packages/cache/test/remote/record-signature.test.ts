import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf } from "@varve/oci";
import {
  type CacheRecord,
  parseRecord,
  parseSignedRecord,
  signatureInput,
  signRecord,
  type UnsignedRecord,
  type VerifyKey,
  verifyRecord,
} from "@varve/cache";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const KEY: VerifyKey = {
  keyId: "k1",
  publicKey: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("base64"),
  createdAt: "2026-01-01T00:00:00Z",
};

const digest = fc.string().map((text) => digestOf(Buffer.from(text)));
const text = fc.string({ unit: "grapheme", maxLength: 40 });
const time = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString());
const descriptor = fc.record({ mediaType: text, digest, size: fc.nat() });
const layer = fc.record({ descriptor, diffId: digest, contentDigest: digest, index: descriptor });
const record: fc.Arbitrary<CacheRecord> = fc.record({
  key: digest,
  layer: fc.option(layer, { nil: undefined }),
  ingredients: fc.dictionary(text, text),
  createdAt: time,
  duration: fc.nat(),
  producer: text,
});
const unsigned: fc.Arbitrary<UnsignedRecord> = fc.record({
  record,
  lane: text,
  principal: text,
  signedAt: time,
  keyId: fc.constant("k1"),
});

function one<T>(arbitrary: fc.Arbitrary<T>): T {
  for (const each of fc.sample(arbitrary, 1)) return each;
  throw new Error("no sample");
}

describe("verifyRecord()", () => {
  test("accepts what signRecord() signed, over the wire and back", () => {
    fc.assert(
      fc.property(unsigned, (each) => {
        const signed = parseSignedRecord(JSON.parse(JSON.stringify(signRecord(each, privateKey))));
        expect(signed).toEqual({ ...each, signature: signed.signature });
        expect(verifyRecord(signed, [KEY])).toBe(true);
      }),
    );
  });

  test("refuses the signature of any other record, and other keys", () => {
    fc.assert(
      fc.property(unsigned, unsigned, (a, b) => {
        const same = Buffer.compare(signatureInput(a), signatureInput(b)) === 0;
        const { signature } = signRecord(a, privateKey);
        expect(verifyRecord({ ...b, signature }, [KEY])).toBe(same);
      }),
    );
    const each = one(unsigned);
    const signed = signRecord(each, privateKey);
    expect(verifyRecord(signed, [])).toBe(false);
    expect(verifyRecord(signed, [{ ...KEY, keyId: "k2" }])).toBe(false);
    expect(verifyRecord(signed, [{ ...KEY, publicKey: "AAAA" }])).toBe(false);
    const other = generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" });
    expect(verifyRecord(signed, [{ ...KEY, publicKey: other.subarray(-32).toString("base64") }])).toBe(false);
  });

  test("tells apart texts that are split at another place", () => {
    const each = one(unsigned);
    const a = signatureInput({ ...each, lane: "main", principal: "ci" });
    const b = signatureInput({ ...each, lane: "mainc", principal: "i" });
    expect(Buffer.compare(Buffer.from(a), Buffer.from(b))).not.toBe(0);
  });
});

describe("parseRecord()", () => {
  const good = one(record);
  test("drops what is not a record's", () => {
    expect(parseRecord({ ...good, extra: 1 })).toEqual(good);
  });

  test.each<[string, unknown]>([
    ["no object", null],
    ["a list", []],
    ["a key that is no digest", { ...good, key: "sha256:../../etc/passwd" }],
    ["an ingredient that is no text", { ...good, ingredients: { a: 1 } }],
    ["a negative duration", { ...good, duration: -1 }],
    ["a time in words", { ...good, createdAt: "yesterday" }],
    ["a layer without an index", { ...good, layer: { descriptor: 1 } }],
    ["a lone surrogate", { ...good, producer: "\ud800" }],
  ])("refuses %s", (_, value) => {
    expect(() => parseRecord(value)).toThrow(expect.objectContaining({ code: "PROTOCOL_INVALID" }));
  });
});
