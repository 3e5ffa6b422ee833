import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { busyboxLayout } from "../../tools/base-images.ts";
import { installVarve, run } from "./installed.ts";

const SERVICES = ["api", "web", "worker"];

/** The `turbo.json` that docs/monorepos.md shows. */
function documentedTasks(): string {
  const page = readFileSync(join(import.meta.dirname, "../../docs/monorepos.md"), "utf8");
  const blocks = [...page.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text = ""]) => text);
  return blocks.find((text) => text.includes('"tasks"')) ?? "";
}

async function workspaceFiles(): Promise<Readonly<Record<string, string>>> {
  const base = `oci-layout://${await busyboxLayout()}`;
  const service = (name: string): readonly (readonly [string, string])[] => [
    [
      `services/${name}/package.json`,
      JSON.stringify({
        name,
        version: "1.0.0",
        scripts: { image: "varve build" },
        dependencies: { log: "1.0.0" },
        varve: {
          context: "../..",
          file: "Dockerfile",
          tag: `${name}:1`,
          buildContext: { busybox: base },
          output: ["type=image", "type=oci,dest=image.tar"],
        },
      }),
    ],
    [`services/${name}/src/main.js`, `require("../log")("${name}");\n`],
    [
      `services/${name}/Dockerfile`,
      `FROM busybox\nCOPY libs/log/dist /log\nCOPY services/${name}/src /src\nRUN cat /log/log.js\n`,
    ],
  ];
  return {
    "package.json": JSON.stringify({
      name: "acme",
      private: true,
      packageManager: "npm@11.0.0",
      workspaces: ["services/*", "libs/*"],
    }),
    "turbo.json": documentedTasks(),
    ".gitignore": "node_modules\ndist\n.turbo\n**/image.tar\n",
    ".dockerignore": "**/node_modules\n**/image.tar\n",
    "libs/log/src/log.js": "module.exports = console.log;\n",
    "libs/log/package.json": JSON.stringify({
      name: "log",
      version: "1.0.0",
      scripts: { build: "mkdir -p dist && cp src/log.js dist/" },
    }),
    ...Object.fromEntries(SERVICES.flatMap(service)),
  };
}

describe("Turborepo, as docs/monorepos.md sets it up", () => {
  const root = mkdtempSync(join(tmpdir(), "varve-turbo-"));
  const folder = join(root, "acme");
  const env = { VARVE_STORE: join(root, "store"), TURBO_TELEMETRY_DISABLED: "1", NO_COLOR: "1", CI: "true" };

  beforeAll(async () => {
    for (const [name, text] of Object.entries(await workspaceFiles())) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    await installVarve(folder, ["turbo@2.11.11"]);
    await run("git", ["init", "-q"], { cwd: folder });
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  async function runImages(...flags: readonly string[]): Promise<string> {
    const { stdout, stderr } = await run("npx", ["turbo", "run", "image", ...flags], { cwd: folder, env });
    return stdout + stderr;
  }

  test("builds all images, after the library that they copy, and none a second time", async () => {
    const first = await runImages();
    for (const name of SERVICES) expect(first).toContain(`built ${name}:1 (linux/`);
    expect(first).toMatch(/Tasks:\s+4 successful, 4 total/);
    for (const name of SERVICES) rmSync(join(folder, "services", name, "image.tar"));
    expect(await runImages()).toMatch(/Cached:\s+4 cached, 4 total/);
    for (const name of SERVICES) expect(existsSync(join(folder, "services", name, "image.tar"))).toBe(true);
  });

  test("without Turborepo's cache, takes all steps from the store", async () => {
    expect((await runImages("--force")).match(/3 steps, 3 cached/g)).toHaveLength(3);
  });

  test("builds what changed", async () => {
    writeFileSync(join(folder, "services/web/src/main.js"), "changed();\n");
    const one = await runImages();
    expect(one).toMatch(/Cached:\s+3 cached, 4 total/);
    expect(one).toMatch(/web:image: built web:1 .*: 3 steps, 1 cached/);
    writeFileSync(join(folder, "libs/log/src/log.js"), "module.exports = console.error;\n");
    expect(await runImages()).toMatch(/Cached:\s+0 cached, 4 total/);
  });
});
