/** A git repository at one reference, as ADD and build contexts name it. */
export interface GitSource {
  /** What git is given: no fragment, no query. */
  readonly remote: string;
  /** Branch, tag, full reference or commit; undefined: what the remote's HEAD is. */
  readonly ref: string | undefined;
  /** In the repository; "" is its root. */
  readonly directory: string;
  /** Commit, whole or its beginning, that `ref` must lead to. */
  readonly checksum: string | undefined;
  /** Undefined where the URL does not say. */
  readonly keepGitDir: boolean | undefined;
  readonly submodules: boolean;
}

/** Thrown for a URL that is a repository's, and says something that can't be. */
export class GitUrlError extends Error {}

/** `user@host:path`, as ssh has it. */
const SCP = /^[A-Za-z0-9_-]+@[A-Za-z0-9_.-]+:[^?#]*/;
const WITH_SCHEME = /^(?:git|ssh|https?):\/\//i;

/**
 * A git source of a URL, `REMOTE#ref:directory` or `REMOTE?ref=…&subdir=…`; undefined for what names no repository:
 * an http URL is one where its path ends in `.git`. Dockerfile reference, "ADD Git repositories"; BuildKit's dfgitutil.
 * @throws GitUrlError
 */
export function parseGitUrl(url: string): GitSource | undefined {
  const [whole, fragment] = cut(url, "#");
  const [remote, query] = cut(whole, "?");
  if (!isRemote(remote)) return undefined;
  const [ref, directory] = cut(fragment ?? "", ":");
  return applyQuery(
    {
      remote,
      ref: ref === "" ? undefined : ref,
      directory: directory ?? "",
      checksum: undefined,
      keepGitDir: undefined,
      submodules: true,
    },
    query,
  );
}

function isRemote(remote: string): boolean {
  if (!WITH_SCHEME.test(remote)) return SCP.test(remote);
  return !/^https?:/i.test(remote) || remote.endsWith(".git");
}

function cut(text: string, separator: string): readonly [string, string | undefined] {
  const position = text.indexOf(separator);
  return position < 0 ? [text, undefined] : [text.slice(0, position), text.slice(position + separator.length)];
}

const FLAGS = ["keep-git-dir", "submodules"];

function applyQuery(source: GitSource, query: string | undefined): GitSource {
  const params = new URLSearchParams(query ?? "");
  for (const name of new Set(params.keys())) {
    if (params.getAll(name).length > 1) throw new GitUrlError(`query "${name}" has multiple values`);
    if (params.get(name) === "" && !FLAGS.includes(name)) throw new GitUrlError(`query "${name}" has no value`);
    if (!QUERY.includes(name)) throw new GitUrlError(`unexpected query "${name}"`);
  }
  const value = (name: string): string | undefined => params.get(name) ?? undefined;
  if (value("tag") !== undefined && value("branch") !== undefined) throw new GitUrlError("branch conflicts with tag");
  const checksum = value("commit") ?? value("checksum");
  const refs = [source.ref, value("ref"), full(value("tag"), "refs/tags/"), full(value("branch"), "refs/heads/")];
  return {
    ...source,
    ref: agree("ref", refs) ?? checksum,
    directory: agree("subdir", [source.directory || undefined, value("subdir")]) ?? "",
    checksum,
    keepGitDir: flag(params, "keep-git-dir"),
    submodules: flag(params, "submodules") ?? true,
  };
}

const QUERY = ["ref", "tag", "branch", "subdir", "checksum", "commit", ...FLAGS];

function full(name: string | undefined, prefix: string): string | undefined {
  return name === undefined || name.startsWith(prefix) ? name : prefix + name;
}

function agree(what: string, values: readonly (string | undefined)[]): string | undefined {
  const [first, ...others] = values.filter((value) => value !== undefined);
  const other = others.find((value) => value !== first);
  if (other !== undefined) throw new GitUrlError(`${what} conflicts: "${first}" vs "${other}"`);
  return first;
}

function flag(params: URLSearchParams, name: string): boolean | undefined {
  const text = params.get(name);
  if (text === null) return undefined;
  if (["", "1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new GitUrlError(`invalid ${name} value: "${text}"`);
}
