import { execFile } from "node:child_process";
import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { CopySource, GitSource } from "@varve/graph";
import { type Digest, digestOf } from "@varve/oci";
import { createContextTree } from "../context/context-tree.ts";
import { StepError } from "../errors.ts";
import type { BuildOptions } from "../session.ts";
import { gitCredentials } from "./git-credentials.ts";
import { type SelectedRoot, selectPath } from "./selection.ts";

/** A repository's files at one commit, which are fetched when they are asked for. */
export interface Repository {
  root(): Promise<SelectedRoot>;
  /** Stands for the commit, the directory in it, and whether `.git` comes along. */
  readonly digest: Digest;
}

/** What a repository is fetched with: a place for it, and secrets that may hold its credentials. */
export type GitOptions = Pick<BuildOptions, "signal" | "secrets"> & {
  /** Gives an empty directory. */
  readonly makeScratch: () => Promise<string>;
};

export type CloneOptions = Pick<BuildOptions, "store" | "signal" | "secrets"> & {
  /** Full or shortened commit that the reference must lead to. */
  readonly checksum: string | undefined;
  readonly exclude: readonly string[];
};

/**
 * A repository for ADD: its commit is asked for, its files are not fetched yet.
 * @throws StepError `DOWNLOAD_FAILED`, `CHECKSUM_MISMATCH`.
 */
export async function findRepository(
  { git }: Extract<CopySource, { type: "git" }>,
  { store, checksum, exclude, ...options }: CloneOptions,
): Promise<Repository> {
  const source = { ...git, checksum };
  const makeScratch = (): Promise<string> => store.makeTemporaryDirectory("tmp");
  const known = await findRemoteCommit(source, { ...options, makeScratch });
  const fetch = (ref: string | undefined): ReturnType<typeof checkOutRepository> =>
    checkOutRepository(
      { ...source, ref, checksum: known === undefined ? checksum : undefined },
      { ...options, makeScratch },
    );
  // A shortened commit is not known to the remote by name: the repository has to be here to tell.
  const eager = known === undefined ? await fetch(git.ref) : undefined;
  const commit = known ?? eager?.commit ?? "";
  return {
    digest: digestOf(Buffer.from(JSON.stringify(["git", commit, git.directory, git.keepGitDir === true]))),
    async root() {
      const { directory } = eager ?? (await fetch(commit));
      return selectPath(createContextTree({ type: "directory", path: directory, ignore: undefined }), "", { exclude });
    },
  };
}

const FULL_COMMIT = /^[0-9a-f]{40}$/;

/** The commit that a reference leads to, without fetching it; undefined where the remote does not say. */
async function findRemoteCommit(source: GitSource, options: GitOptions): Promise<string | undefined> {
  const { remote, ref = "HEAD" } = source;
  if (FULL_COMMIT.test(ref)) {
    checkCommit(source, [ref]);
    return ref;
  }
  const env = await gitCredentials(remote, options.secrets);
  const place = { directory: "/", signal: options.signal, env };
  const listing = await runGit(["ls-remote", "--", remote, ref, `${ref}^{}`], remote, place);
  const objects = new Map(
    listing.split("\n").map((line) => {
      const [object = "", name = ""] = line.split("\t");
      return [name, object] as const;
    }),
  );
  const name = [ref, `refs/${ref}`, `refs/tags/${ref}`, `refs/heads/${ref}`].find((each) => objects.has(each));
  const object = name === undefined ? undefined : objects.get(name);
  if (object === undefined) return undefined;
  const commit = objects.get(`${name}^{}`) ?? object;
  checkCommit(source, [commit, object]);
  return commit;
}

/**
 * Checks a repository out with the `git` program of this machine. Never asks for credentials: GIT_AUTH_TOKEN and
 * GIT_AUTH_HEADER may be given as secrets. Gives the directory of it that was asked for, and the commit.
 * @throws StepError `DOWNLOAD_FAILED`, `CHECKSUM_MISMATCH`.
 */
export async function checkOutRepository(
  source: GitSource,
  { makeScratch, signal, secrets }: GitOptions,
): Promise<{ readonly directory: string; readonly commit: string }> {
  const repository = join(await makeScratch(), "repository");
  const env = await gitCredentials(source.remote, secrets);
  const commit = await checkOut(source, { directory: repository, signal, env });
  if (source.keepGitDir !== true) await rm(join(repository, ".git"), { recursive: true, force: true });
  const directory = join(repository, join("/", source.directory));
  if ((await stat(directory).catch(() => undefined))?.isDirectory() === true) return { directory, commit };
  throw new StepError(
    "DOWNLOAD_FAILED",
    `Cannot use "${source.remote}": "${source.directory}" is no directory of the repository`,
  );
}

interface CheckOut {
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string>>;
}

/** Fetches one commit where the server lets it, all references where it does not. Gives the commit. */
async function checkOut(source: GitSource, place: CheckOut): Promise<string> {
  const { remote, ref } = source;
  const git = (...args: string[]): Promise<string> => runGit(args, remote, place);
  await runGit(["init", "--quiet", place.directory], remote, { ...place, directory: "/" });
  await git("remote", "add", "origin", remote);
  const wanted = ref ?? "HEAD";
  const shallow = await git("fetch", "--quiet", "--depth=1", "--no-tags", "origin", wanted).then(
    () => true,
    () => false,
  );
  if (!shallow) await git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*");
  const found = shallow ? await fetchedObject(place.directory) : await findCommit(git, wanted);
  await git("checkout", "--quiet", "--detach", found);
  const commit = (await git("rev-parse", "HEAD")).trim();
  checkCommit(source, [commit, found]);
  if (source.submodules) await git("submodule", "update", "--init", "--recursive", "--depth=1", "--quiet");
  return commit;
}

/** A commit, or the tag that leads to one: either may be the checksum. */
function checkCommit({ remote, checksum }: GitSource, objects: readonly string[]): void {
  if (checksum === undefined || objects.some((object) => object.startsWith(checksum.toLowerCase()))) return;
  throw new StepError(
    "CHECKSUM_MISMATCH",
    `Cannot use "${remote}": checksum mismatch, the reference leads to commit ${objects[0]}; wanted ${checksum}`,
  );
}

async function fetchedObject(directory: string): Promise<string> {
  const [object = ""] = (await readFile(join(directory, ".git", "FETCH_HEAD"), "utf8")).split("\t");
  return object;
}

async function findCommit(git: (...args: string[]) => Promise<string>, ref: string): Promise<string> {
  return git("rev-parse", "--verify", `${ref}^{commit}`)
    .catch(() => git("rev-parse", "--verify", `origin/${ref.replace(/^refs\/heads\//, "")}^{commit}`))
    .then((commit) => commit.trim());
}

/** BuildKit's files are those of a umask of 022, whatever this process has. */
const GIT = 'umask 022; exec git "$@"';

async function runGit(args: readonly string[], remote: string, { directory, signal, env }: CheckOut): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("sh", ["-c", GIT, "git", "-c", "protocol.ext.allow=never", ...args], {
      cwd: directory,
      signal,
      env: { ...process.env, GIT_TERMINAL_PROMPT: "0", GIT_CONFIG_NOSYSTEM: "1", ...env },
      maxBuffer: 16 * 1024 * 1024,
    });
    return stdout;
  } catch (cause) {
    const { code, stderr = "" } = cause as { readonly code?: unknown; readonly stderr?: string };
    const notFound = 127;
    if (code === notFound)
      throw new StepError("DOWNLOAD_FAILED", `Cannot clone "${remote}": there is no git program`, {
        cause,
        hint: "Install git",
      });
    const reason = stderr.trim();
    throw new StepError("DOWNLOAD_FAILED", `Cannot clone "${remote}": ${reason === "" ? String(cause) : reason}`, {
      cause,
    });
  }
}
