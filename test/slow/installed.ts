/** What `npm install varve` gives: the packed packages, installed in a folder of their own. */
import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { packAll } from "../../tools/pack.ts";

let packed: readonly string[] | undefined;

/** Installs varve's packages, and others from the registry, in `folder`. */
export async function installVarve(folder: string, others: readonly string[] = []): Promise<void> {
  packed ??= packAll(mkdtempSync(join(tmpdir(), "varve-packed-")));
  const words = ["install", "--save-dev", "--no-audit", "--no-fund", "--prefer-offline", ...others, ...packed];
  await run("npm", words, { cwd: folder });
}

/** Runs a program to its end; gives what it writes. Throws with all of it where it fails. */
export async function run(
  program: string,
  args: readonly string[],
  { cwd, env = {} }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const inherited = { ...process.env, ...env };
  // Of the npm that runs the tests: they would be taken for this folder's.
  for (const name of Object.keys(inherited))
    if (/^npm_(?:package|lifecycle|config_(?:local_prefix|prefix|workspaces?))/.test(name)) delete inherited[name];
  try {
    return await promisify(execFile)(program, args, { cwd, env: inherited, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`${program} ${args.join(" ")} failed:\n${stdout}\n${stderr}`, { cause: error });
  }
}
