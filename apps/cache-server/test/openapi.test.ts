import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROTOCOL_PATH } from "@varve/cache";
import { SETTINGS_SCHEMA } from "../src/settings-schema.ts";
import { startTestServer, type TestServer } from "./running-server.ts";

const DOCS = join(import.meta.dirname, "../../../docs");

interface Description {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly summary?: string }>>>>;
}

let server: TestServer;
let description: Description;
beforeAll(async () => {
  server = await startTestServer();
  description = (await server.stranger.send("GET", "//openapi.json")).body;
});
afterAll(() => server[Symbol.asyncDispose]());

/** `METHOD /path` of each heading of docs/protocol.md. */
function documentedRoutes(): readonly string[] {
  const [protocol = "", service = ""] = readFileSync(join(DOCS, "protocol.md"), "utf8").split("\n## Service\n");
  const headings = (text: string) =>
    [...text.matchAll(/^### ([A-Z]+) (\/\S*)$/gm)].map(([, method, path]) => [method, path]);
  return [
    ...headings(protocol).map(([method, path]) => `${method} ${PROTOCOL_PATH}${path}`),
    ...headings(service).map(([method, path]) => `${method} ${path}`),
  ];
}

describe("GET /openapi.json", () => {
  test("describes the routes of docs/protocol.md, and no others", () => {
    const described = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const isPage = (route: string): boolean => route === "GET /" || route.startsWith("GET /assets");
    const heads = described.filter((route) => !route.startsWith("HEAD ") && !isPage(route));
    const documented = documentedRoutes().filter((route) => !isPage(route));
    expect(documented.length).toBeGreaterThan(25);
    expect(heads.toSorted()).toEqual(documented.toSorted());
  });

  test("says of each what it is for", () => {
    expect(description.openapi).toBe("3.1.0");
    for (const methods of Object.values(description.paths))
      for (const { summary } of Object.values(methods)) expect(summary).toMatch(/^\S.+/);
  });
});

describe("docs/server.md", () => {
  const text = readFileSync(join(DOCS, "server.md"), "utf8");

  test("has a row for every setting, and for no other", () => {
    const rows = [...text.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, names = ""]) =>
      [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name),
    );
    expect(rows.toSorted()).toEqual(
      Object.keys(SETTINGS_SCHEMA.properties)
        .filter((name) => name !== "$schema")
        .toSorted(),
    );
  });

  test("names metrics that there are", async () => {
    const metrics = (await server.stranger.send("GET", "//metrics")).bytes.toString();
    const named = [...text.matchAll(/`(varve_cache_\w+)/g)].map(([, name]) => name ?? "");
    expect(named.length).toBeGreaterThan(5);
    for (const name of named) expect(metrics).toContain(`# TYPE ${name} `);
  });
});

describe("docs/security.md", () => {
  test("shows rules that a server starts with", async () => {
    const text = readFileSync(join(DOCS, "security.md"), "utf8");
    const examples = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json]) => JSON.parse(json ?? "") as object);
    expect(examples).toHaveLength(2);
    for (const settings of examples) {
      await using started = await startTestServer({ ...settings });
      expect((await started.stranger.send("GET", "//readyz")).status).toBe(200);
    }
  });
});
