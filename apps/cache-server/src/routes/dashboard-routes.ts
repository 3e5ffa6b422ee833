import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { FastifyInstance } from "fastify";

/** The package's own folder, from sources and from what is built of them. */
const HOME = join(import.meta.dirname, "..", "..");

interface Asset {
  readonly type: string;
  readonly bytes: Buffer;
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
};

/** The page at `/` and all that it loads, from memory: no other file can be asked for. */
export function addDashboardRoutes(app: FastifyInstance): void {
  const page = readAsset(join(HOME, "dashboard", "index.html"));
  const policy = contentSecurityPolicy(page.bytes.toString("utf8"));
  const assets = readAssets();
  app.get("/", { schema: { summary: "The dashboard", hide: true } }, async (_, reply) =>
    reply
      .type(page.type)
      .headers({ "content-security-policy": policy, "referrer-policy": "no-referrer", "cache-control": "no-cache" })
      .send(page.bytes),
  );
  for (const [path, { type, bytes, etag }] of assets) {
    app.get(`/assets/${path}`, { schema: { hide: true } }, async (request, reply) => {
      void reply.headers({ etag, "cache-control": "no-cache", "x-content-type-options": "nosniff" });
      return request.headers["if-none-match"] === etag ? reply.code(304).send() : reply.type(type).send(bytes);
    });
  }
}

function readAssets(): ReadonlyMap<string, Asset> {
  const { resolve } = createRequire(import.meta.url);
  const preact = dirname(resolve("preact/package.json"));
  const uplot = join(dirname(resolve("uplot")), "..", "dist");
  const built = join(HOME, "dist", "dashboard");
  const files = [
    ["style.css", join(HOME, "dashboard", "style.css")],
    ["icon.svg", join(HOME, "dashboard", "icon.svg")],
    ["preact/preact.mjs", join(preact, "dist", "preact.mjs")],
    ["preact/hooks.mjs", join(preact, "hooks", "dist", "hooks.mjs")],
    ["preact/jsxRuntime.mjs", join(preact, "jsx-runtime", "dist", "jsxRuntime.mjs")],
    ["uplot/uPlot.esm.js", join(uplot, "uPlot.esm.js")],
    ["uplot/uPlot.min.css", join(uplot, "uPlot.min.css")],
    ...readdirSync(built)
      .filter((name) => name.endsWith(".js"))
      .map((name) => [name, join(built, name)] as const),
  ] as const;
  return new Map(files.map(([path, file]) => [path, readAsset(file)]));
}

function readAsset(file: string): Asset {
  const bytes = readFileSync(file);
  const type = TYPES[file.split(".").at(-1) ?? ""] ?? "application/octet-stream";
  return { type, bytes, etag: `"${createHash("sha256").update(bytes).digest("base64url")}"` };
}

/** Nothing from elsewhere, and of inline scripts the page's import map alone. Styles: uPlot sets those of elements. */
function contentSecurityPolicy(page: string): string {
  const [, map = ""] = /<script type="importmap">(.*?)<\/script>/s.exec(page) ?? [];
  const digest = createHash("sha256").update(map).digest("base64");
  return `default-src 'self'; script-src 'self' 'sha256-${digest}'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'`;
}
