import { expect, test } from "vitest";
import { isLoopback, readSettings } from "../src/settings.ts";

test("readSettings() reads insecure registries and mirrors from variables", () => {
  expect(readSettings({})).toEqual({ insecure: [], mirrors: {} });
  expect(
    readSettings({
      VARVE_INSECURE_REGISTRIES: "a:80, b ,",
      VARVE_REGISTRY_MIRROR: "docker.io=https://one/path,docker.io=http://two:80,ghcr.io=https://three",
    }),
  ).toEqual({
    insecure: ["a:80", "b"],
    mirrors: { "docker.io": ["https://one/path", "http://two:80"], "ghcr.io": ["https://three"] },
  });
});

test.each(["https://mirror", "docker.io=mirror", "docker.io=https://", "=https://x"])(
  "readSettings() refuses mirror %j",
  (text) => {
    expect(() => readSettings({ VARVE_REGISTRY_MIRROR: text })).toThrow(`Cannot use mirror "${text}"`);
  },
);

test.each([
  ["localhost", true],
  ["localhost:5000", true],
  ["127.0.0.1", true],
  ["127.1.2.3:80", true],
  ["[::1]:5000", true],
  ["localhost.example.com", false],
  ["127.0.0.1.example.com", false],
  ["10.0.0.1", false],
])("isLoopback(%s) is %s", (host, loopback) => {
  expect(isLoopback(host)).toBe(loopback);
});
