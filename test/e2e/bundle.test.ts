/** The command line as it is published, in few files. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { Workspace } from "./varve.ts";

const root = join(import.meta.dirname, "..", "..");

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
