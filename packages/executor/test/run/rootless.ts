/**
 * A program for the tests of work without privileges: run by an ordinary user, it enters a user namespace as `varve`
 * does; then it runs a command in a snapshot of a base. Arguments: the runner's name, the user's id. Prints JSON.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type Entry, type FileTree, scanDirectory } from "@varve/layer";
import { findProgram } from "../../src/run/find-program.ts";
import { createOciRuntime } from "../../src/run/oci-runtime.ts";
import { selectRunner } from "../../src/run/select-runner.ts";
import { createUnshareRunner } from "../../src/run/unshare.ts";
import { inUserNamespace, userNamespaceCommand } from "../../src/run/user-namespace.ts";
import { selectSnapshotter } from "../../src/snapshot/select-snapshotter.ts";
import type { Runner } from "../../src/runner.ts";
import { COMMAND } from "./command.ts";
import { fillRootfs } from "./rootfs.ts";

const [, program = "", name = "", uid = "0"] = process.argv;

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) return reenter();
  const directory = mkdtempSync(join(tmpdir(), "varve-rootless-"));
  try {
    process.stdout.write(JSON.stringify(await build(directory)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function reenter(): void {
  const found = userNamespaceCommand([process.execPath, ...process.execArgv, program, name, uid]);
  if ("problem" in found) {
    process.stdout.write(JSON.stringify(found));
    return;
  }
  const { status } = spawnSync(found.command, found.args, {
    stdio: "inherit",
    env: { ...process.env, VARVE_TEST_IDS: found.ids },
  });
  process.exitCode = status ?? 1;
}

async function build(directory: string): Promise<object> {
  const [layer, own, scratch, probe] = ["layer", "snapshot", "scratch", "probe"].map((each) =>
    join(directory, each),
  ) as [string, string, string, string];
  for (const each of [layer, own, scratch, probe]) mkdirSync(each);
  fillRootfs(layer);
  const snapshotter = await selectSnapshotter("auto", probe);
  await using snapshot = await snapshotter.prepare({ layers: [layer], tree: describe(layer) }, own);
  const script = [
    "id -u; id -G; echo $$; echo x >/dev/null && echo devices",
    "mkdir /made && echo 1 >/made/file && chown 33:33 /made/file; rm /bin/touch",
  ].join("; ");
  const ids = { uid: Number(uid), gid: Number(uid), additionalGids: [Number(uid), 33] };
  let output = "";
  const runner = await createRunner();
  const outcome = await runner
    .run(
      { ...COMMAND, args: ["sh", "-c", script], ...ids },
      {
        rootfs: snapshot.rootfs,
        scratch,
        signal: new AbortController().signal,
        onOutput(_, chunk) {
          output += Buffer.from(chunk).toString("utf8");
        },
      },
    )
    .catch((error: Error) => ({ message: error.message }));
  await runner.close?.();
  const entries = await snapshot.diff();
  return {
    ids: process.env["VARVE_TEST_IDS"],
    inNamespace: inUserNamespace(),
    runner: runner.name,
    snapshotter: snapshotter.name,
    whiteouts: snapshotter.whiteouts,
    outcome,
    output: output.split("\n"),
    diff: entries.map(({ path, type, uid }) => `${path} ${type} ${uid}`),
  };
}

/** The tree of a layer that was not extracted from an archive. */
function describe(layer: string): FileTree {
  const root: Entry = { path: "", type: "directory", mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0n };
  const entries = new Map([root, ...scanDirectory(layer)].map((entry) => [entry.path, entry]));
  return {
    lookup: (path) => entries.get(path),
    list: (path) =>
      [...entries.keys()]
        .filter((each) => each !== "" && dirname(each) === (path === "" ? "." : path))
        .map((each) => basename(each)),
  };
}

async function createRunner(): Promise<Runner> {
  if (name === "auto") return selectRunner(name);
  if (name === "unshare") return createUnshareRunner("unshare");
  const runtime = name === "crun" ? "crun" : "runc";
  return createOciRuntime(runtime, findProgram(runtime) ?? runtime);
}

await main();
