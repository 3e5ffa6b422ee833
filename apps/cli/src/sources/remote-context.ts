import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { checkOutRepository, downloadFile, type DownloadOptions, type GitOptions } from "@varve/executor";
import { type GitSource, GitUrlError, parseGitUrl } from "@varve/graph";
import { UsageError } from "../errors.ts";
import { unpackContext } from "./unpack-context.ts";

/** What fetching a context needs. */
export type RemoteOptions = GitOptions &
  Pick<DownloadOptions, "onEvent"> & {
    /** `.git` comes along, whatever the URL says: the build arg BUILDKIT_CONTEXT_KEEP_GIT_DIR. */
    readonly keepGitDir: boolean;
    /** False leaves an archive that was downloaded as it is: what it is as a named context. */
    readonly unpack?: boolean;
  };

/** Name of a file that was downloaded as a context, as BuildKit calls it. */
const FILE = "context";

/** A context that was fetched. */
export interface RemoteContext {
  readonly directory: string;
  /** Name of the one file that it is, where it is no archive: as the main context, the Dockerfile. */
  readonly file: string | undefined;
}

/** True for a text that names a build context on another machine. */
export function isRemote(place: string): boolean {
  return isHttp(place) || gitSource(place) !== undefined;
}

/** True for a URL of a file. */
export function isHttp(place: string): boolean {
  return /^https?:\/\//i.test(place);
}

/**
 * Fetches a build context: a git repository (`REMOTE#ref:directory`, `?ref=…&subdir=…`), or an http URL's tar or file.
 * @throws UsageError for a URL that contradicts itself; StepError `DOWNLOAD_FAILED`, `CHECKSUM_MISMATCH`.
 */
export async function fetchContext(place: string, options: RemoteOptions): Promise<RemoteContext> {
  const git = gitSource(place);
  if (git === undefined) return download(place, options);
  const keepGitDir = options.keepGitDir || git.keepGitDir === true;
  const { directory } = await checkOutRepository({ ...git, keepGitDir }, options);
  return { directory, file: undefined };
}

/** `github.com/OWNER/REPOSITORY` is a repository here, though not for ADD. */
function gitSource(place: string): GitSource | undefined {
  try {
    return parseGitUrl(/^github\.com\/[^/]+\/[^/]/.test(place) ? toGitUrl(place) : place);
  } catch (error) {
    if (error instanceof GitUrlError) throw new UsageError(`Cannot use build context "${place}": ${error.message}`);
    throw error;
  }
}

function toGitUrl(place: string): string {
  const [, path = "", rest = ""] = /^([^#?]*?)(?:\.git)?([#?].*)?$/s.exec(place) ?? [];
  return `https://${path}.git${rest}`;
}

/**
 * A file by its URL, as `path`, below a new directory.
 * @throws StepError `DOWNLOAD_FAILED`.
 */
export async function fetchFile(url: string, options: DownloadOptions): Promise<string> {
  const { path } = await downloadFile(url, options);
  return path;
}

async function download(url: string, options: RemoteOptions): Promise<RemoteContext> {
  const scratch = await options.makeScratch();
  const path = await fetchFile(url, options);
  const unpacked = options.unpack === false ? undefined : await unpackContext(path, { scratch, name: `"${url}"` });
  if (unpacked !== undefined) return { directory: unpacked, file: undefined };
  const directory = join(scratch, "download");
  await mkdir(directory);
  await rename(path, join(directory, FILE));
  return { directory, file: FILE };
}
