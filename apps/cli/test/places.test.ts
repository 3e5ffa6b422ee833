import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dockerSince, dockerSize } from "../src/docker-words.ts";
import { isPlace, parsePlace } from "../src/places/place.ts";

const directory = mkdtempSync(join(tmpdir(), "varve-places-"));
const DIGEST = `sha256:${"0a".repeat(32)}`;
beforeAll(() => {
  mkdirSync(join(directory, "layout:odd"), { recursive: true });
  writeFileSync(join(directory, "a.tar"), "");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const hub = { registry: "docker.io", repository: "library/app" };

test.each([
  ["app:1", { transport: "name", text: "app:1" }],
  ["docker-image://app:1", { transport: "name", text: "app:1" }],
  ["varve:app", { transport: "varve", text: "app" }],
  ["docker://app", { transport: "docker", reference: { ...hub, tag: "latest" } }],
  ["docker-daemon:app:1", { transport: "docker-daemon", text: "app:1" }],
  ["oci:D/x", { transport: "oci", path: "D/x", tag: undefined, digest: undefined }],
  ["oci:D/x:1", { transport: "oci", path: "D/x", tag: "1", digest: undefined }],
  ["oci-layout://D/x:1", { transport: "oci", path: "D/x", tag: "1", digest: undefined }],
  [`oci:D/x@${DIGEST}`, { transport: "oci", path: "D/x", tag: undefined, digest: DIGEST }],
  ["oci:D/layout:odd", { transport: "oci", path: "D/layout:odd", tag: undefined, digest: undefined }],
  ["oci:D/layout:odd:2", { transport: "oci", path: "D/layout:odd", tag: "2", digest: undefined }],
  ["oci-archive:D/a.tar:1", { transport: "oci-archive", path: "D/a.tar", name: "1" }],
  ["docker-archive:D/a.tar", { transport: "docker-archive", path: "D/a.tar", name: undefined }],
  [
    "docker-archive://D/a.tar:host:5000/app:1",
    { transport: "docker-archive", path: "D/a.tar", name: "host:5000/app:1" },
  ],
])("parsePlace(%j)", (text, expected) => {
  const place = JSON.parse(JSON.stringify(parsePlace(text.replace("D/", `${directory}/`)))) as unknown;
  expect(place).toEqual(JSON.parse(JSON.stringify(expected).replaceAll("D/", `${directory}/`)));
});

test.each(["oci:", "docker://", "docker://A/B:c d"])("parsePlace(%j) is wrong usage", (text) => {
  expect(() => parsePlace(text)).toThrow(expect.objectContaining({ code: "USAGE" }) as Error);
});

test("isPlace() tells directories from places", () => {
  expect(["oci:x", "docker-archive:x", "varve:x"].map(isPlace)).toEqual([true, true, true]);
  expect(["./oci:x", "sub/dir", "app:1", "https://x"].map(isPlace)).toEqual([false, false, false, false]);
});

test.each([
  [0, "0B"],
  [999, "999B"],
  [1000, "1kB"],
  [1_982_428, "1.98MB"],
  [123_456_789, "123MB"],
  [7e12, "7TB"],
])("dockerSize(%d) is %s", (bytes, expected) => {
  expect(dockerSize(bytes)).toBe(expected);
});

test.each([
  [0, "Less than a second ago"],
  [1, "1 second ago"],
  [59, "59 seconds ago"],
  [60, "About a minute ago"],
  [150, "2 minutes ago"],
  [3600, "About an hour ago"],
  [47 * 3600, "47 hours ago"],
  [3 * 86400, "3 days ago"],
  [20 * 86400, "2 weeks ago"],
  [90 * 86400, "3 months ago"],
  [800 * 86400, "2 years ago"],
])("dockerSince() of %d seconds is %s", (seconds, expected) => {
  const now = Date.UTC(2026, 5, 1);
  expect(dockerSince(new Date(now - seconds * 1000).toISOString(), now)).toBe(expected);
});

test("dockerSince() does not take a build's epoch for a date", () => {
  expect([undefined, "1970-01-01T00:00:00Z", "2000-01-01T00:00:00Z"].map((time) => dockerSince(time, 9e12))).toEqual([
    "N/A",
    "N/A",
    "N/A",
  ]);
});
