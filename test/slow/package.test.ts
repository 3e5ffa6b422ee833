import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { busyboxLayout } from "../../tools/base-images.ts";
import { Workspace } from "../e2e/varve.ts";
import { installVarve, run } from "./installed.ts";

describe("the packed packages, installed in an empty folder", () => {
  const work = new Workspace();
  const env = { VARVE_STORE: work.store };
  let folder = "";
  let context = "";

  beforeAll(async () => {
    context = work.context({ Dockerfile: "FROM busybox\nCOPY word /\nRUN cat word > /said\n", word: "hello\n" });
    folder = work.path;
    writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
    await installVarve(folder, ["typescript@7.0.2", "@types/node@24.19.2"]);
    return () => work[Symbol.dispose]();
  });

  test("npx varve builds", async () => {
    const base = `busybox=oci-layout://${await busyboxLayout()}`;
    const words = ["varve", "build", "--build-context", base, "-t", "app:1", context];
    const { stdout, stderr } = await run("npx", words, { cwd: folder, env });
    expect(stderr).toContain("2 steps, 0 cached");
    expect(stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    expect((await run("npx", ["varve", "images"], { cwd: folder, env })).stdout).toMatch(/^app +1 /m);
  });

  test("build() builds, and its types are there", async () => {
    const script = `
import { build, BuildError, type BuildEvent, type BuildResult } from "varve";
const events: BuildEvent[] = [];
const result: BuildResult = await build({
  context: ${JSON.stringify(context)},
  buildContext: { busybox: "oci-layout://${await busyboxLayout()}" },
  tag: ["app:2"],
  onEvent: (event) => events.push(event),
});
const failure = await build({ context: "missing" }).catch((error: unknown) => error);
console.log(JSON.stringify({ ...result, code: failure instanceof BuildError ? failure.code : "", events: events.length }));
`;
    writeFileSync(join(folder, "build.ts"), script);
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { module: "nodenext", types: ["node"], strict: true, noEmit: true },
        files: ["build.ts"],
      }),
    );
    await run("npx", ["tsc"], { cwd: folder });
    const { stdout } = await run(process.execPath, ["build.ts"], { cwd: folder, env });
    const { events, ...result } = JSON.parse(stdout) as { readonly events: number };
    expect(result).toMatchObject({ names: ["docker.io/library/app:2"], steps: 2, cached: 2, code: "USAGE" });
    expect(events).toBeGreaterThan(2);
  });

  test("the JSON schema is where docs/cli.md says", async () => {
    const print = "console.log(require.resolve('varve/varve.schema.json'))";
    const { stdout } = await run(process.execPath, ["--input-type=commonjs", "-e", print], { cwd: folder });
    expect(stdout.trim()).toBe(join(folder, "node_modules/varve/varve.schema.json"));
  });
});
