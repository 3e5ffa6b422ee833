import { expect, test } from "vitest";
import { fileName } from "../../src/copy/download.ts";

test.each([
  ["http://a.b/c/d.txt", "d.txt"],
  ["http://a.b/c/d.txt?e=f/g#h/i", "d.txt"],
  ["http://a.b/c/d/", "d"],
  ["http://a.b/c%20d", "c d"],
  ["http://a.b/c%2Fd", "d"],
  ["http://a.b/%zz", "__unnamed__"],
  ["http://a.b/", "__unnamed__"],
  ["http://a.b", "__unnamed__"],
])("fileName() names what %s leads to %s", (url, name) => {
  expect(fileName(url)).toBe(name);
});
