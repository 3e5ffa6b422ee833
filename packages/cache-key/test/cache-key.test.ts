import type { Digest } from "@varve/oci";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  cacheKey,
  canonicalJson,
  explainDifference,
  ingredientsOf,
  type Json,
  rootfsDigest,
  stepDigest,
} from "../src/index.ts";

const digestOf = (character: string): Digest => `sha256:${character.repeat(64)}`;
const [A, B, C] = [digestOf("a"), digestOf("b"), digestOf("c")];
const digests = [A, B, C];

describe("canonicalJson()", () => {
  test("writes RFC 8785's example as the RFC does (section 3.2.4)", () => {
    const value = {
      numbers: [333333333.3333333, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"/",
      literals: [null, true, false],
    };
    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  test("sorts members by UTF-16 code units, and refuses what has no form", () => {
    expect(canonicalJson({ "\ufb33": 1, "\ud83d\ude00": 2, "\u20ac": 3, a: 4 })).toBe(
      '{"a":4,"\u20ac":3,"\ud83d\ude00":2,"\ufb33":1}',
    );
    expect(() => canonicalJson(Number.NaN)).toThrow(/finite/);
    expect(() => canonicalJson("\ud800")).toThrow(/surrogate/);
  });

  test("does not depend on the order of members, and tells values apart", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ noUnicodeString: false })), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).toReversed());
        expect(canonicalJson(reversed as Json)).toBe(canonicalJson(value as Json));
        expect(JSON.parse(canonicalJson(value as Json))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe("cacheKey()", () => {
  test("never changes its mind: keys of older stores stay valid", () => {
    const step = stepDigest({ definition: { kind: "run", args: ["a"] }, inputs: [A] });
    expect(step).toBe("sha256:322e8a7bfbf397172d77642af1d355312067df56ff0409ba819bec35e7f49242");
    expect(cacheKey(step, B)).toBe("sha256:c78cbce8786bcf9428e5e7209c7903935d198861c196bd224cec9f1d9bbd19da");
    expect(rootfsDigest(digests)).toBe("sha256:d846941b341ba5b3fac4d44ee083fa936a4f965f774cff1d76a2a1801509be88");
  });

  test("tells apart what is put together differently", () => {
    const keys = [
      stepDigest({ definition: ["a-b", "c"], inputs: [] }),
      stepDigest({ definition: ["a", "b-c"], inputs: [] }),
      stepDigest({ definition: ["a", "b", "c"], inputs: [] }),
      stepDigest({ definition: ["a-b", "c"], inputs: [A] }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    const [step = A] = keys;
    expect(cacheKey(step, undefined)).not.toBe(cacheKey(step, A));
    expect(rootfsDigest([A, B])).not.toBe(rootfsDigest([B, A]));
  });
});

describe("ingredientsOf()", () => {
  test("names each variable of an env list, and keeps what has no name as JSON", () => {
    const definition = { kind: "run", env: ["A=1", "B=x=y", "C="], args: ["sh", "-c", "x"], __proto__x: { deep: 1 } };
    expect(ingredientsOf({ definition, inputs: [A], parent: undefined })).toEqual({
      "definition.kind": "run",
      "definition.env.A": "1",
      "definition.env.B": "x=y",
      "definition.env.C": "",
      "definition.args": '["sh","-c","x"]',
      "definition.__proto__x.deep": "1",
      "input.0": A,
      parent: "none",
    });
  });

  test("tells long values apart that begin alike", () => {
    const partOf = (end: string): string | undefined =>
      ingredientsOf({ definition: { args: "x".repeat(1000) + end }, inputs: [], parent: undefined })["definition.args"];
    expect(partOf("a")).not.toBe(partOf("b"));
    expect(partOf("a")?.length).toBeLessThan(550);
  });
});

test("explainDifference() names what changed between two keys", () => {
  const before = ingredientsOf({ definition: { kind: "run", env: ["A=1"], args: ["x"] }, inputs: [A], parent: B });
  const after = ingredientsOf({
    definition: { kind: "run", env: ["A=2", "N="], args: ["x"] },
    inputs: [],
    parent: B,
  });
  expect(explainDifference(before, after)).toEqual([
    { name: "definition.env.A", before: "1", after: "2" },
    { name: "definition.env.N", before: undefined, after: "" },
    { name: "input.0", before: A, after: undefined },
  ]);
});
