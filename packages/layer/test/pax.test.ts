import { describe, expect, test } from "vitest";
import { decodePax, encodePax, formatPaxTime, parsePaxTime } from "../src/pax.ts";
import { fc, test as law } from "./laws.ts";

describe("encodePax()", () => {
  law(
    "is undone by decodePax(), whatever the bytes",
    [fc.array(fc.tuple(fc.stringMatching(/^[a-z.A-Z\u00e4]{1,20}$/), fc.uint8Array({ maxLength: 2000 })))],
    (pairs) => {
      const records = [...new Map(pairs)].map(([key, value]) => ({ key, value }));
      const decoded = decodePax(encodePax(records)).map(({ key, value }) => ({ key, value: Uint8Array.from(value) }));
      expect(decoded).toEqual(records.toSorted((a, b) => (a.key < b.key ? -1 : 1)));
    },
  );

  test.each([
    [5, "10 key=value"],
    [87, "98 path="],
    [988, "1000 path="],
  ])("counts its own digits, value of %i bytes", (length, start) => {
    const record = encodePax([
      { key: length === 5 ? "key" : "path", value: Buffer.from(length === 5 ? "value" : "x".repeat(length)) },
    ]);
    expect(record.length).toBe(Number.parseInt(record.toString(), 10));
    expect(record.toString()).toContain(length === 5 ? " key=value\n" : start.slice(start.indexOf(" ")));
  });

  test("refuses a name that holds an equals sign", () => {
    expect(() => encodePax([{ key: "SCHILY.xattr.user.a=b", value: new Uint8Array() }])).toThrow('its name holds "="');
  });
});

test.each(["5 a=", "99 path=x\n", "x path=y\n", "9 path=xy", "0 a=b\n"])("decodePax() refuses %j", (body) => {
  expect(() => decodePax(Buffer.from(body))).toThrow("a pax extended header is damaged");
});

test.each([
  [0n, "0"],
  [1_500_000_000n, "1.5"],
  [-1_500_000_000n, "-1.5"],
  [-1n, "-0.000000001"],
  [1_700_000_000_123_456_789n, "1700000000.123456789"],
])("formatPaxTime() writes %s as %s, and parsePaxTime() reads it", (time, text) => {
  expect(formatPaxTime(time)).toBe(text);
  expect(parsePaxTime(text)).toBe(time);
});

test("parsePaxTime() refuses what is no number", () => expect(() => parsePaxTime("1e5")).toThrow("damaged"));
