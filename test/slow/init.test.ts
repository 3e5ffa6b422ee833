import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { languageBaseFlags } from "../../tools/language-bases.ts";
import { Workspace } from "../e2e/varve.ts";
import { run } from "./installed.ts";

/** A program that needs a package when it runs, and is built by a script that needs another. */
const PROGRAM = `import isNumber from "is-number";
import { existsSync } from "node:fs";
console.log(JSON.stringify({ five: isNumber(5), uid: process.getuid(), tools: existsSync("../../node_modules/is-odd") || existsSync("node_modules/is-odd") }));
`;
const APP = {
  name: "app",
  version: "1.0.0",
  type: "module",
  main: "dist/main.js",
  scripts: { build: "node build.mjs" },
  dependencies: { "is-number": "7.0.0" },
  devDependencies: { "is-odd": "3.0.1" },
};
const BUILD = 'import "is-odd";\nimport { cpSync } from "node:fs";\ncpSync("src", "dist", { recursive: true });\n';
const FILES = { "src/main.js": PROGRAM, "build.mjs": BUILD };

interface Project {
  readonly files: Readonly<Record<string, string | object>>;
  /** Makes the lock file. */
  readonly lock: readonly string[];
  /** Of the project, from the folder where the lock file is. */
  readonly place: string;
}

const below = (folder: string, files: Project["files"]): Project["files"] =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));

const PROJECTS: Readonly<Record<string, Project>> = {
  npm: { files: { "package.json": APP, ...FILES }, lock: ["npm", "install", "--package-lock-only"], place: "." },
  "an npm workspace": {
    files: {
      "package.json": { name: "root", private: true, workspaces: ["services/*", "libs/*"] },
      ...below("services/app", {
        "package.json": { ...APP, dependencies: { "@acme/numbers": "1.0.0" } },
        ...FILES,
        "src/main.js": PROGRAM.replace('"is-number"', '"@acme/numbers"'),
      }),
      ...below("libs/numbers", {
        "package.json": {
          ...APP,
          name: "@acme/numbers",
          scripts: { build: "mkdir -p dist && cp src/main.js dist/" },
          devDependencies: {},
        },
        "src/main.js": 'export { default } from "is-number";\n',
      }),
      "services/other/package.json": { name: "other", version: "1.0.0" },
    },
    lock: ["npm", "install", "--package-lock-only"],
    place: "services/app",
  },
  pnpm: {
    files: { "package.json": { ...APP, packageManager: "pnpm@10.20.0" }, ...FILES },
    lock: ["npx", "--yes", "pnpm@10.20.0", "install", "--lockfile-only"],
    place: ".",
  },
  "Yarn 1": {
    files: { "package.json": APP, ...FILES },
    lock: ["npx", "--yes", "yarn@1.22.22", "install", "--ignore-scripts"],
    place: ".",
  },
  "Yarn 4": {
    files: { "package.json": { ...APP, packageManager: "yarn@4.9.2" }, ...FILES },
    lock: ["npx", "--yes", "@yarnpkg/cli-dist@4.9.2", "install", "--mode=update-lockfile"],
    place: ".",
  },
};

test.each(Object.entries(PROJECTS))("what varve init writes for %s builds, and the image runs", async (_, project) => {
  using work = new Workspace();
  const root = work.file("project");
  for (const [name, content] of Object.entries(project.files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  const [program = "", ...words] = project.lock;
  await run(program, words, { cwd: root });
  const folder = join(root, project.place);
  const written = await work.run(["init", folder]);
  expect(written.code, written.stderr).toBe(0);
  expect(existsSync(join(folder, "Dockerfile"))).toBe(true);

  const [, stand = ""] = await languageBaseFlags(["node:24-bookworm-slim"]);
  const base = ["--build-context", stand.replace("24-bookworm-slim", "24-slim")];
  const config = ["--config", join(folder, "package.json")];
  const image = work.file("image");
  const built = await work.run(["build", ...base, ...config, "-o", `type=oci,tar=false,dest=${image}`]);
  expect(built.code, built.stderr.slice(-3000)).toBe(0);
  const again = await work.run(["build", ...base, ...config, "-o", `type=oci,tar=false,dest=${image}`]);
  expect(again.stderr).toMatch(/: (\d+) steps, \1 cached/);

  const command = /^CMD (.*)$/m.exec(readFileSync(join(folder, "Dockerfile"), "utf8"))?.[1] ?? "";
  const context = work.context({ Dockerfile: `FROM app\nRUN ${command}\n` });
  const events = await work.events(["--build-context", `app=oci-layout://${image}`, context]);
  const said = events.flatMap((event) => ("text" in event ? [String(event.text)] : [])).join("");
  expect(JSON.parse(said)).toEqual({ five: true, uid: 1000, tools: false });
});
