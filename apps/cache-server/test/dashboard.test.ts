import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BuildReport } from "@varve/cache";
import { startTestServer, type TestServer } from "./running-server.ts";

/** Where Debian puts it; elsewhere the environment says. */
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

const REPORT: BuildReport = {
  id: "build-1",
  project: "api",
  target: "linux/amd64",
  startedAt: "2026-11-01T10:00:00Z",
  duration: 61_000,
  outcome: "built",
  bytesSaved: 125_000_000,
  timeSaved: 95_000,
  steps: [
    { name: "RUN npm ci", state: "hit-remote", duration: 40 },
    { name: "COPY src .", state: "ran", duration: 700, reason: "1 file changed: src/a.ts" },
  ],
};

let server: TestServer;
let browser: Browser;
let token: string;
beforeAll(async () => {
  if (!existsSync(CHROMIUM)) throw new Error(`Cannot find Chromium at ${CHROMIUM}: npm run setup installs it`);
  server = await startTestServer();
  const main = await server.client("main", { name: "ci/main" });
  token = main.token ?? "";
  const { key } = await main.put("RUN npm ci");
  for (let round = 0; round < 3; round++) await main.send("GET", `/records/${key}`);
  await main.send("GET", `/records/sha256:${"0".repeat(64)}`);
  const { status } = await main.send("POST", "/builds", REPORT);
  expect(status).toBe(201);
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
afterAll(async () => {
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
});

interface Visit extends AsyncDisposable {
  readonly page: Page;
  /** What the page complained of, and the addresses that it asked. */
  readonly complaints: readonly string[];
  readonly addresses: readonly string[];
}

async function visit(options: Parameters<Browser["newPage"]>[0] = {}): Promise<Visit> {
  const page = await browser.newPage(options);
  const [complaints, addresses]: [string[], string[]] = [[], []];
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("401")) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => addresses.push(request.url()));
  await page.goto(server.url);
  return { page, complaints, addresses, [Symbol.asyncDispose]: () => page.close() };
}

async function signIn(page: Page, word = token): Promise<void> {
  await page.getByLabel("Token").fill(word);
  await page.getByRole("button", { name: "Show" }).click();
}

describe("the dashboard", () => {
  test("asks for a token, says when it is wrong, and then shows what the cache did", async () => {
    await using seen = await visit();
    const { page } = seen;
    await signIn(page, "varve_wrong");
    await page.getByText("Cannot", { exact: false }).waitFor();
    await signIn(page);
    await page.getByText("3 of 4 records").waitFor();
    expect(await page.locator(".tile b").allTextContents()).toEqual([
      "75 %",
      "1 min 35 s",
      "125 MB",
      expect.stringMatching(/B$/),
    ]);
    expect(await page.locator("#lanes tbody tr").allTextContents()).toEqual([
      expect.stringMatching(/^main.*1 record$/),
    ]);
    expect(await page.locator("#hot-keys tbody tr").allTextContents()).toEqual([expect.stringContaining("3 hits")]);
    const chart = await page.locator("#activity canvas").boundingBox();
    expect(chart?.width).toBeGreaterThan(500);
    expect(seen.complaints).toEqual([]);
    expect(seen.addresses.filter((address) => !address.startsWith(server.url))).toEqual([]);
  });

  test("opens a build: its steps, where they came from, and why they ran", async () => {
    await using seen = await visit();
    const { page } = seen;
    await signIn(page);
    await page.getByRole("button", { name: "api" }).click();
    const steps = page.locator("table.steps tr");
    await steps.nth(1).waitFor();
    expect(await steps.allTextContents()).toEqual([
      "from the cacheRUN npm ci0.0 s",
      "ranCOPY src .1 file changed: src/a.ts0.7 s",
    ]);
    await page.getByRole("button", { name: "api" }).click();
    await expect.poll(() => steps.count()).toBe(0);
    expect(seen.complaints).toEqual([]);
  });

  test.each(["light", "dark"] as const)("follows a %s system, and changes by its button", async (colorScheme) => {
    await using seen = await visit({ colorScheme });
    const { page } = seen;
    await signIn(page);
    await page.getByTitle("Light or dark").waitFor();
    const background = (): Promise<string> => page.evaluate("getComputedStyle(document.body).backgroundColor");
    const colors = { light: "rgb(246, 245, 241)", dark: "rgb(20, 25, 31)" };
    expect(await background()).toBe(colors[colorScheme]);
    await page.getByTitle("Light or dark").click();
    expect(await background()).toBe(colors[colorScheme === "light" ? "dark" : "light"]);
  });

  test("fits a narrow window", async () => {
    await using seen = await visit({ viewport: { width: 380, height: 800 } });
    await signIn(seen.page);
    await seen.page.locator(".tile").first().waitFor();
    expect(await seen.page.evaluate("document.documentElement.scrollWidth")).toBe(380);
  });

  test("keeps what it knows, and says so, while the server is away", async () => {
    await using own = await startTestServer({ anonymous: "read" });
    await using page = await browser.newPage();
    await page.goto(own.url);
    await page.getByText("No build was reported yet").waitFor();
    await own.stop();
    await page.getByText("The server does not answer; as of").waitFor();
    expect(await page.locator(".tile").count()).toBe(4);
  });

  test("serves nothing but its own files", async () => {
    const { status, headers } = await server.stranger.send("GET", "//");
    expect(status).toBe(200);
    expect(headers.get("content-security-policy")).toMatch(/default-src 'self'; script-src 'self' 'sha256-/);
    for (const path of ["//assets/..%2findex.html", "//assets/../package.json", "//assets/main.tsx"])
      expect((await server.stranger.send("GET", path)).status).toBe(404);
  });
});
