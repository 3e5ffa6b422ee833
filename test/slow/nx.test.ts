import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { busyboxLayout } from "../../tools/base-images.ts";
import { type RunningRegistry, startRegistry } from "../../tools/registry.ts";
import { installVarve, run } from "./installed.ts";

const SERVICES = ["a", "b", "c", "d", "e", "f"];

/** A workspace with a library that is built by a target, and six services that copy what it makes. */
async function workspaceFiles(registry: string): Promise<Readonly<Record<string, string>>> {
  const service = (name: string): readonly (readonly [string, string])[] => [
    [`services/${name}/package.json`, JSON.stringify({ name: `@acme/${name}`, version: "1.0.0" })],
    [`services/${name}/src/main.js`, `require("../log")("${name}");\n`],
    [`services/${name}/README.md`, `# ${name}\n`],
    [
      `services/${name}/Dockerfile`,
      `FROM busybox\nWORKDIR /app\nCOPY libs/log/dist ./log\nCOPY services/${name} ./service\nRUN echo from $(cat /proc/uptime) && sleep 2 && echo to $(cat /proc/uptime)\n`,
    ],
  ];
  return {
    "package.json": JSON.stringify({ name: "acme", private: true, workspaces: ["services/*", "libs/*"] }),
    "nx.json": JSON.stringify({
      analytics: false,
      plugins: [{ plugin: "@varve/nx", options: { context: "workspace", tag: `${registry}/{projectName}:1` } }],
      targetDefaults: { build: { cache: true } },
    }),
    "varve.json": JSON.stringify({ buildContext: { busybox: `oci-layout://${await busyboxLayout()}` } }),
    ".gitignore": "node_modules\ndist\n.nx\n",
    ".dockerignore": "**/node_modules\n.nx\n/dist\n**/*.md\n**/Dockerfile*\n",
    "libs/log/src/log.js": "module.exports = console.log;\n",
    "libs/log/package.json": JSON.stringify({
      name: "@acme/log",
      version: "1.0.0",
      scripts: { build: "mkdir -p dist && cp src/log.js dist/" },
    }),
    ...Object.fromEntries(SERVICES.flatMap(service)),
  };
}

/** How many RUN steps started before the one that started before them had ended. */
function overlaps(text: string): number {
  const times = (word: string): readonly number[] =>
    [...text.matchAll(new RegExp(`\\b${word} (\\d+\\.\\d+) `, "g"))]
      .map(([, time]) => Number(time))
      .toSorted((a, b) => a - b);
  const ends = times("to");
  return times("from").filter((start, position) => position > 0 && start < (ends[position - 1] ?? 0)).length;
}

describe.each(["24.0.6", "23.3.2", "22.7.12"])("Nx %s", (version) => {
  const root = mkdtempSync(join(tmpdir(), "varve-nx-"));
  const env = { VARVE_STORE: join(root, "store"), NX_DAEMON: "false", NX_TUI: "false", CI: "true", NO_COLOR: "1" };
  const folder = join(root, "acme");

  let registry: RunningRegistry;

  beforeAll(async () => {
    registry = await startRegistry();
    for (const [name, text] of Object.entries(await workspaceFiles(registry.host))) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    await installVarve(folder, [`nx@${version}`]);
    await run("git", ["init", "-q"], { cwd: folder });
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(root, { recursive: true, force: true });
  });

  /** Runs all `image` targets; gives the projects whose command ran, and what the commands wrote. */
  async function runImages(
    ...flags: readonly string[]
  ): Promise<{ readonly ran: readonly string[]; readonly text: string }> {
    const words = ["nx", "run-many", "-t", "image", "--parallel=6", "--outputStyle=static", ...flags];
    const { stdout, stderr } = await run("npx", words, { cwd: folder, env });
    const text = stdout + stderr;
    return {
      ran: SERVICES.filter((name) => text.includes(`/acme/${name}:1 (linux/`) && !isFromCache(text, name)),
      text,
    };
  }

  function isFromCache(text: string, name: string): boolean {
    return new RegExp(`nx run @acme/${name}:image +\\[(?:local cache|existing outputs)`).test(text);
  }

  function edit(name: string, text: string): void {
    writeFileSync(join(folder, name), text);
  }

  /** The manifest in the project's OCI layout. */
  function manifestOf(name: string): unknown {
    const layout = join(folder, "dist/images/services", name);
    const { manifests } = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as {
      readonly manifests: readonly { readonly digest: string }[];
    };
    return JSON.parse(readFileSync(join(layout, "blobs/sha256", manifests[0]?.digest.slice(7) ?? ""), "utf8"));
  }

  test("builds six images side by side through one store, after the library that they copy", async () => {
    const { ran, text } = await runImages();
    expect(ran).toEqual(SERVICES);
    expect(text.match(/5 steps, \d cached|4 steps, \d cached/g)).toHaveLength(6);
    for (const name of SERVICES) expect(manifestOf(name)).toHaveProperty("layers.length", 5);
    expect(text).toContain("@acme/log:build");
    expect(overlaps(text)).toBeGreaterThan(0);
  });

  test("runs nothing where nothing changed", async () => {
    rmSync(join(folder, "dist"), { recursive: true, force: true });
    const { ran } = await runImages();
    expect(ran).toEqual([]);
    for (const name of SERVICES)
      expect(existsSync(join(folder, "dist/images/services", name, "index.json"))).toBe(true);
  });

  test("without Nx's cache, takes all steps from the store", async () => {
    const { text } = await runImages("--skip-nx-cache");
    expect(text.match(/4 steps, 4 cached/g)).toHaveLength(6);
  });

  test("runs nothing for a file that no Dockerfile copies, or that .dockerignore leaves out", async () => {
    edit("libs/log/NOTES.txt", "new\n");
    edit("services/a/README.md", "# changed\n");
    edit("notes.txt", "new\n");
    expect((await runImages()).ran).toEqual([]);
  });

  test("runs what copies a file that changed", async () => {
    edit("services/c/src/main.js", "changed();\n");
    expect((await runImages()).ran).toEqual(["c"]);
    edit("libs/log/src/log.js", "module.exports = console.error;\n");
    expect((await runImages()).ran).toEqual(SERVICES);
    edit("services/b/Dockerfile", "FROM busybox\nCOPY services/b/src /src\n");
    expect((await runImages()).ran).toEqual(["b"]);
  });

  test("pushes what was built", async () => {
    await run("npx", ["nx", "run", "@acme/a:image-push"], { cwd: folder, env });
    const response = await fetch(`http://${registry.host}/v2/acme/a/manifests/1`, {
      headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
    });
    expect(await response.json()).toEqual(manifestOf("a"));
  });

  test("leaves no blob of an older image in the layout", () => {
    const blobs = readdirSync(join(folder, "dist/images/services/b/blobs/sha256"));
    expect(blobs).toHaveLength(4);
  });
});
