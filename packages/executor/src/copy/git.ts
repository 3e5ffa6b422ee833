import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { CopySource } from "@varve/graph";
import { type Digest, digestOf } from "@varve/oci";
import { createContextTree } from "../context/context-tree.ts";
import { StepError } from "../errors.ts";
import type { BuildOptions } from "../session.ts";
import { parseGitUrl } from "./git-url.ts";
import { type SelectedRoot, selectSource } from "./selection.ts";

const run = promisify(execFile);

/** A repository's files at one commit. */
export interface Clone {
  readonly root: SelectedRoot;
  /** Stands for the commit, the directory in it, and whether `.git` comes along. */
  readonly digest: Digest;
}

export type CloneOptions = Pick<BuildOptions, "store" | "signal"> & {
  /** Full or shortened commit that the reference must lead to. */
  readonly checksum: string | undefined;
  readonly exclude: readonly string[];
};

/**
 * Checks out a repository with the `git` program of this machine: `URL#ref:directory`, or `?ref=`, `?subdir=`, …
 * Never asks for credentials.
 * @throws StepError `DOWNLOAD_FAILED`, `CHECKSUM_MISMATCH`.
 */
export async function cloneRepository(
  source: Extract<CopySource, { type: "git" }>,
  options: CloneOptions,
): Promise<Clone> {
  const url = parseGitUrl(source.url);
  const keepGitDir = url.keepGitDir ?? source.keepGitDir;
  const directory = join(await options.store.makeTemporaryDirectory("tmp"), "repository");
  const commit = await checkOut(url.remote, {
    ref: url.ref,
    submodules: url.submodules,
    directory,
    signal: options.signal,
  });
  const wanted = url.checksum ?? options.checksum;
  if (wanted !== undefined && !commit.startsWith(wanted.toLowerCase())) {
    throw new StepError(
      "CHECKSUM_MISMATCH",
      `Cannot use "${source.url}": checksum mismatch, it leads to commit ${commit}; wanted ${wanted}`,
    );
  }
  if (!keepGitDir) await rm(join(directory, ".git"), { recursive: true, force: true });
  const tree = createContextTree({ type: "directory", path: directory, ignore: undefined });
  const [root] = selectSource(tree, url.directory, { exclude: options.exclude, parents: false });
  if (root === undefined || root.entry.type !== "directory") {
    throw new StepError(
      "DOWNLOAD_FAILED",
      `Cannot use "${source.url}": "${url.directory}" is no directory of the repository`,
    );
  }
  return { root, digest: digestOf(Buffer.from(JSON.stringify(["git", commit, url.directory, keepGitDir]))) };
}

interface CheckOut {
  readonly ref: string | undefined;
  readonly submodules: boolean;
  readonly directory: string;
  readonly signal: AbortSignal;
}

/** Fetches one commit where the server lets it, all references where it does not. Gives the commit. */
async function checkOut(remote: string, { ref, submodules, directory, signal }: CheckOut): Promise<string> {
  const git = (...args: string[]): Promise<string> => runGit(args, { directory, signal, remote });
  await runGit(["init", "--quiet", directory], { directory: "/", signal, remote });
  await git("remote", "add", "origin", remote);
  const wanted = ref ?? "HEAD";
  const shallow = await git("fetch", "--quiet", "--depth=1", "--no-tags", "origin", wanted).then(
    () => true,
    () => false,
  );
  if (!shallow) await git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*");
  await git("checkout", "--quiet", "--detach", shallow ? "FETCH_HEAD" : await findCommit(git, wanted));
  if (submodules) await git("submodule", "update", "--init", "--recursive", "--depth=1", "--quiet");
  return (await git("rev-parse", "HEAD")).trim();
}

async function findCommit(git: (...args: string[]) => Promise<string>, ref: string): Promise<string> {
  return git("rev-parse", "--verify", `${ref}^{commit}`)
    .catch(() => git("rev-parse", "--verify", `origin/${ref}^{commit}`))
    .then((commit) => commit.trim());
}

async function runGit(
  args: readonly string[],
  { directory, signal, remote }: { readonly directory: string; readonly signal: AbortSignal; readonly remote: string },
): Promise<string> {
  try {
    const env = { ...process.env, GIT_TERMINAL_PROMPT: "0", GIT_CONFIG_NOSYSTEM: "1" };
    const { stdout } = await run("git", ["-c", "protocol.ext.allow=never", ...args], {
      cwd: directory,
      signal,
      env,
      maxBuffer: 16 * 1024 * 1024,
    });
    return stdout;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
      throw new StepError("DOWNLOAD_FAILED", `Cannot clone "${remote}": there is no git program`, {
        cause,
        hint: "Install git",
      });
    }
    const reason = (cause as { readonly stderr?: string }).stderr?.trim();
    throw new StepError(
      "DOWNLOAD_FAILED",
      `Cannot clone "${remote}": ${reason === undefined || reason === "" ? String(cause) : reason}`,
      { cause },
    );
  }
}
