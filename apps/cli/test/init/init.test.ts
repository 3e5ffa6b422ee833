import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { checkDockerfile, parseDockerfile } from "@varve/dockerfile";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { initCommand } from "../../src/commands/init.ts";
import { parseFlags } from "../../src/flags.ts";

/** A directory with these files, gone when the test has finished. */
function project(files: Readonly<Record<string, string | object>>): string {
  const root = mkdtempSync(join(tmpdir(), "varve-init-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return root;
}

/** Runs `varve init`; gives what it prints. */
async function init(...argv: readonly string[]): Promise<string> {
  const printed: string[] = [];
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, "write").mockImplementation((text) => printed.push(String(text)) > 0),
  );
  onTestFinished(() => spies.forEach((spy) => spy.mockRestore()));
  await initCommand.run(parseFlags(argv, initCommand.flags), new AbortController().signal);
  return printed.join("");
}

/** The Dockerfile that is written for a project; it passes varve's own checks. */
async function dockerfileOf(files: Readonly<Record<string, string | object>>, place = "."): Promise<string> {
  const root = project(files);
  await init(join(root, place));
  const text = readFileSync(join(root, place, "Dockerfile"), "utf8");
  expect(checkDockerfile(parseDockerfile(text, { file: "Dockerfile" }))).toEqual([]);
  return text;
}

const BUILT = { name: "@acme/App", main: "dist/main.js", scripts: { build: "tsc" } };

describe("varve init", () => {
  test("writes all that a project lacks", async () => {
    const root = project({ "package.json": BUILT, "package-lock.json": "{}" });
    expect(await init("--tag", "registry.example.com/app:1", root)).toMatch(
      /^(?:written {3}\S.*\n){5}Next: install varve/,
    );
    expect(JSON.parse(readFileSync(join(root, "package.json"), "utf8"))).toEqual({
      ...BUILT,
      scripts: { build: "tsc", image: "varve build", "image:push": "varve build --push" },
      varve: { context: ".", tag: "registry.example.com/app:1" },
    });
    expect(readFileSync(join(root, ".dockerignore"), "utf8")).toContain("**/node_modules\n.git\n");
  });

  test("leaves what is there as it is", async () => {
    const files = {
      Dockerfile: "FROM mine\n",
      ".dockerignore": "mine\n",
      "package.json": '{"scripts":{"image":"mine"},"varve":{"tag":"mine"}}',
    };
    const root = project(files);
    expect(await init(root)).toMatch(/^(?:kept {3}\S.*\n){4}/);
    for (const [name, text] of Object.entries(files)) expect(readFileSync(join(root, name), "utf8")).toBe(text);
  });

  test("keeps the indentation of package.json", async () => {
    const root = project({ "package.json": '{\n\t"name": "app"\n}\n' });
    await init(root);
    expect(readFileSync(join(root, "package.json"), "utf8")).toContain('\n\t"scripts": {\n\t\t"image": "varve build"');
  });

  test("installs for npm in stages of their own, and builds", async () => {
    expect(await dockerfileOf({ "package.json": BUILT, "package-lock.json": "{}", ".npmrc": "" }))
      .toBe(`# syntax=docker/dockerfile:1

FROM node:24-slim AS base
WORKDIR /app

# Packages that the program needs when it runs
FROM base AS dependencies
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm \\
    npm ci --no-audit --no-fund --omit=dev && mkdir -p node_modules

# The program, built with all packages
FROM base AS build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm \\
    npm ci --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --link --from=dependencies /app/node_modules ./node_modules
COPY --link --from=build --exclude=**/node_modules /app ./
USER 1000:1000
CMD ["node", "dist/main.js"]
`);
  });

  test("copies only the packages of the workspace that a project needs", async () => {
    const text = await dockerfileOf(
      {
        "package.json": { name: "root" },
        "pnpm-workspace.yaml": "packages:\n  - 'services/*'\n  - libs/* # all\n  - '!libs/old'\ncatalog:\n  a: 1\n",
        "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
        "tsconfig.base.json": "{}",
        "libs/log/package.json": { name: "@acme/log", scripts: { build: "tsc" }, dependencies: { "@acme/text": "1" } },
        "libs/text/package.json": { name: "@acme/text", scripts: { build: "tsc" } },
        "libs/old/package.json": { name: "@acme/old" },
        "services/web/package.json": { name: "web", dependencies: { "@acme/log": "workspace:*" } },
        "services/api/package.json": {
          name: "api",
          scripts: { start: "fastify start" },
          dependencies: { "@acme/log": "workspace:*", "@acme/old": "1" },
        },
      },
      "services/api",
    );
    expect(text).toContain("RUN npm install --global pnpm@10\n");
    expect(text).toContain(
      "COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./\nCOPY --parents services/*/package.json libs/*/package.json ./\n",
    );
    expect(text).toContain('pnpm install --frozen-lockfile --prod --filter "api..."');
    expect(text).toContain(
      'COPY tsconfig.base.json ./\nCOPY --parents libs/text libs/log services/api ./\nRUN pnpm --filter "@acme/text" run build\nRUN pnpm --filter "@acme/log" run build\n',
    );
    expect(text).toMatch(/FROM base\nENV NODE_ENV=production\nCOPY --link --from=dependencies \/app \.\//);
    expect(text).toMatch(/WORKDIR \/app\/services\/api\nUSER 1000:1000\nCMD \["pnpm", "run", "start"\]\n$/);
    expect(text).not.toContain("libs/old ");
  });

  test.each<[string, Readonly<Record<string, string | object>>, readonly string[]]>([
    ["no lock file", { "package.json": {} }, ["npm install --no-audit", "# Say what starts the program"]],
    ["no build", { "package.json": {}, "server.js": "" }, ["COPY --link . .\n", 'CMD ["node", "server.js"]']],
    [
      "flags of node",
      { "package.json": { scripts: { start: "node --import=./a.js b.js" } } },
      ['CMD ["node", "--import=./a.js", "b.js"]'],
    ],
    ["another start script", { "package.json": { scripts: { start: "next start" } } }, ['CMD ["npm", "run", "start"]']],
    ["bin", { "package.json": { bin: { a: "cli.js" } } }, ['CMD ["node", "cli.js"]']],
    [
      "packageManager",
      { "package.json": { packageManager: "pnpm@9.15.0+sha512.abc" } },
      ["npm install --global pnpm@9.15.0\n"],
    ],
    ["an old pnpm", { "package.json": {}, "pnpm-lock.yaml": "lockfileVersion: 5.4\n" }, ["pnpm@7\n"]],
    [
      "Yarn 1",
      { "package.json": {}, "yarn.lock": "# yarn lockfile v1\n" },
      ["yarn@1\n", "yarn install --frozen-lockfile --production"],
    ],
    [
      "Yarn 4",
      { "package.json": { packageManager: "yarn@4.5.0" }, "yarn.lock": "__metadata:\n", ".yarn/releases/x.cjs": "" },
      [
        "@yarnpkg/cli-dist@4.5.0\n",
        "ENV YARN_NODE_LINKER=node-modules\n",
        "COPY .yarn/releases ./.yarn/releases\n",
        "yarn workspaces focus --production",
      ],
    ],
    ["an older node", { "package.json": { engines: { node: "22.x" } } }, ["FROM node:22-slim AS base"]],
    ["a lower bound", { "package.json": { engines: { node: ">=20.11" } } }, ["FROM node:24-slim AS base"]],
    ["an upper bound", { "package.json": { engines: { node: ">=20 <23" } } }, ["FROM node:22-slim AS base"]],
    ["a newer node", { "package.json": { engines: { node: "^24 || >=26.1" } } }, ["FROM node:26-slim AS base"]],
  ])("knows %s", async (_, files, wanted) => {
    const text = await dockerfileOf(files);
    for (const part of wanted) expect(text).toContain(part);
  });

  test.each([
    [{}, /has no package\.json/],
    [{ "package.json": "{" }, /^Cannot read ".*package\.json": /],
  ])("refuses %j", async (files, message) => {
    await expect(init(project(files))).rejects.toThrow(message);
  });
});
