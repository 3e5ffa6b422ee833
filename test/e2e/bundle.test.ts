/** The command line as it is published, in few files. */
import { execFileSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { Workspace } from "./varve.ts";

const root = join(import.meta.dirname, "..", "..");

/** Prints what a process loaded, as its last line. */
const SPY = `
process.on("exit", () => {
  const files = Object.keys(require.cache).filter((file) => /[/]bundle[/](?:layer|work)-|[.]node$/.test(file));
  const modules = process.moduleLoadList.filter((name) => /^NativeModule (?:crypto|stream|zlib|fs[/]promises|v8|net)$/.test(name));
  require("node:fs").writeSync(2, "\\nloaded " + JSON.stringify([...files, ...modules]) + "\\n");
});
`;

beforeAll(() => void execFileSync(process.execPath, [join(root, "tools/bundle.ts")], { stdio: "inherit" }));

test("the bundle builds the image that its sources build, with threads and with its own init", async () => {
  const files = Object.fromEntries(Array.from({ length: 2500 }, (_, number) => [`src/${number}.txt`, `${number}\n`]));
  const dockerfile = "FROM busybox\nCOPY src /src\nRUN test $(ls /src | wc -l) = 2500\n";
  const build = async (bundle: string): Promise<string> => {
    using workspace = new Workspace();
    const context = workspace.context({ ...files, Dockerfile: dockerfile });
    execFileSync("find", [context, "-exec", "touch", "-hd@1000000000", "{}", "+"]);
    const args = ["-q", "--runner=unshare", "--build-arg", "SOURCE_DATE_EPOCH=1000000000", context];
    return (await workspace.build(args, { env: { VARVE_BUNDLE: bundle } })).stdout;
  };
  const bundled = await build("1");
  expect(bundled).toMatch(/^sha256:[0-9a-f]{64}\n$/);
  expect(bundled).toBe(await build("0"));
});

test("the bundle tells of programs that can't be started, from within their own root, as its sources do", async () => {
  const fail = async (bundle: string, runner: string): Promise<string> => {
    using workspace = new Workspace();
    const context = workspace.context({ Dockerfile: 'FROM busybox\nRUN ["/etc/passwd"]\n' });
    const { code, stderr } = await workspace.fail([`--runner=${runner}`, context], { env: { VARVE_BUNDLE: bundle } });
    expect(code).toBe(1);
    return stderr
      .split("\n")
      .filter((line) => line.startsWith("error"))
      .join("\n");
  };
  for (const runner of ["unshare", "chroot"]) {
    const told = await fail("1", runner);
    expect(told).toContain("exit code: 126");
    expect(told).toBe(await fail("0", runner));
  }
});

test("a build that finds everything as it was loads no native code and nothing that works on layers", async () => {
  using workspace = new Workspace();
  const spy = join(workspace.path, "spy.cjs");
  writeFileSync(spy, SPY);
  const context = workspace.context({ Dockerfile: "FROM busybox\nRUN true\nCOPY file /file\n", file: "text\n" });
  execFileSync("touch", ["-hd@1000000000", join(context, "file"), context]);
  const build = async (): Promise<{ readonly id: string; readonly loaded: readonly string[] }> => {
    const env = { VARVE_BUNDLE: "1", NODE_OPTIONS: `--require=${spy}` };
    const { stdout, stderr } = await workspace.build(["-q", "-t", "app:1", context], { env });
    const [, loaded = "[]"] = /^loaded (.*)$/m.exec(stderr) ?? [];
    return { id: stdout, loaded: JSON.parse(loaded) as readonly string[] };
  };
  const first = await build();
  expect(first.loaded.filter((file) => file.endsWith(".node")).length).toBeGreaterThan(0);
  const second = await build();
  rmSync(join(workspace.store, "index"), { recursive: true });
  const third = await build();
  expect([second.id, third.id]).toEqual([first.id, first.id]);
  expect([second.loaded, third.loaded]).toEqual([[], []]);
  expect(existsSync(join(workspace.store, "index"))).toBe(false);
});
