import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseDuration } from "../src/parse-duration.ts";
import { parseSize } from "../src/parse-size.ts";
import { type GivenSettings, readSettings } from "../src/settings.ts";

let directory: string;
beforeAll(() => (directory = mkdtempSync(join(tmpdir(), "varve-settings-"))));
afterAll(() => rmSync(directory, { recursive: true }));

function fileWith(settings: unknown): string {
  const path = join(directory, "settings.json");
  writeFileSync(path, typeof settings === "string" ? settings : JSON.stringify(settings));
  return path;
}

function read(flags: GivenSettings, env: Readonly<Record<string, string>> = {}, file?: unknown) {
  return readSettings({ file: file === undefined ? undefined : fileWith(file), env, flags });
}

describe("readSettings()", () => {
  test("has defaults for all", () => {
    expect(read({})).toMatchObject({
      host: "127.0.0.1",
      port: 7788,
      anonymous: "none",
      budget: 20e9,
      quotas: [],
      tls: undefined,
    });
  });

  test("takes flags before the environment, and that before the file", () => {
    const file = { $schema: "x", port: 1, host: "file", budget: "1GB" };
    const env = { VARVE_CACHE_SERVER_PORT: "2", VARVE_CACHE_SERVER_HOST: "env", OTHER: "x" };
    expect(read({ port: 3 }, env, file)).toMatchObject({ port: 3, host: "env", budget: 1e9 });
  });

  test("takes lists and booleans from the environment", () => {
    const env = {
      VARVE_CACHE_SERVER_QUOTAS: '[{"lane":"pr/*","bytes":"1MiB"}]',
      VARVE_CACHE_SERVER_METRICS_TOKEN: "true",
    };
    expect(read({}, env)).toMatchObject({ quotas: [{ lane: "pr/*", bytes: 1024 * 1024 }], metricsToken: true });
  });

  test.each<[string, () => unknown, string, string | undefined]>([
    ["a name that is misspelt", () => read({}, {}, { budgt: 1 }), 'there is no setting "budgt"', "budget"],
    [
      "one in the environment",
      () => read({}, { VARVE_CACHE_SERVER_BUDGE: "1" }),
      'there is no setting "budge"',
      "budget",
    ],
    [
      "one inside of a rule",
      () => read({}, {}, { oidc: [{ preset: "github", audience: "a", repositories: ["a/b"], mainBranch: ["x"] }] }),
      'there is no setting "oidc.0.mainBranch"',
      "mainBranches",
    ],
    ["a name like no other", () => read({}, {}, { zzzzzz: 1 }), 'there is no setting "zzzzzz"', undefined],
    ["a value of another type", () => read({}, {}, { port: "many" }), '"port"', undefined],
    [
      "a value that is not allowed",
      () => read({ anonymous: "all" }),
      '"anonymous" one of ["none","read","write"]',
      undefined,
    ],
    ["a size without sense", () => read({ budget: "lots" }), '"budget"', undefined],
    ["half of TLS", () => read({ tlsCert: "x" }), "both tlsCert and tlsKey", undefined],
    ["a certificate that is not there", () => read({ tlsCert: "/no/cert", tlsKey: "/no/key" }), "/no/cert", undefined],
    ["a file that is no JSON", () => read({}, {}, "{"), "settings.json", undefined],
    [
      "a rule without claims",
      () => read({}, {}, { oidc: [{ issuer: "https://x", audience: "a", principal: "p" }] }),
      "claims",
      undefined,
    ],
  ])("refuses %s", (_, run, message, near) => {
    const hint = near === undefined ? {} : { hint: `Did you mean "${near}"?` };
    expect(run).toThrow(
      expect.objectContaining({
        code: "SETTINGS_INVALID",
        message: expect.stringContaining(message) as string,
        ...hint,
      }),
    );
  });
});

describe("parseSize()", () => {
  test.each<[number | string, number]>([
    [5, 5],
    ["5", 5],
    ["1.5KB", 1500],
    ["2 MiB", 2 * 1024 * 1024],
    ["3GB", 3e9],
    ["1TiB", 1024 ** 4],
  ])("reads %j as %i", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(["", "-1", "1 kb", "GB", "1e9"])("refuses %j", (text) => {
    expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: "SETTINGS_INVALID" }));
  });
});

describe("parseDuration()", () => {
  test.each<[string, number]>([
    ["10s", 10_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["90d", 90 * 86_400_000],
  ])("reads %s as %i ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(["", "10", "d", "1.5h", "-1d"])("refuses %j", (text) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: "SERVER_USAGE" }));
  });
});
