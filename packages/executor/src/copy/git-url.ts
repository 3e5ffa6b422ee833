/** A git source, taken apart. */
export interface GitUrl {
  readonly remote: string;
  /** Branch, tag or commit; undefined: the remote's HEAD. */
  readonly ref: string | undefined;
  /** In the repository; "" is its root. */
  readonly directory: string;
  readonly checksum: string | undefined;
  readonly keepGitDir: boolean | undefined;
  readonly submodules: boolean;
}

/**
 * Parses `REMOTE#ref:directory` and `REMOTE?ref=…&subdir=…&checksum=…&keep-git-dir=…&submodules=…`.
 * Dockerfile reference, "ADD <git ref> <dir>"; Docker's "Git URL query form".
 */
export function parseGitUrl(url: string): GitUrl {
  const hash = url.indexOf("#");
  const [ref, directory] = hash < 0 ? [undefined, undefined] : splitFragment(url.slice(hash + 1));
  const whole = hash < 0 ? url : url.slice(0, hash);
  const mark = whole.indexOf("?");
  const query = new URLSearchParams(mark < 0 ? "" : whole.slice(mark + 1));
  const keep = query.get("keep-git-dir");
  return {
    remote: normalizeRemote(mark < 0 ? whole : whole.slice(0, mark)),
    ref: query.get("ref") ?? query.get("branch") ?? query.get("tag") ?? ref,
    directory: query.get("subdir") ?? directory ?? "",
    checksum: query.get("checksum") ?? query.get("commit") ?? undefined,
    keepGitDir: keep === null ? undefined : isTrue(keep),
    submodules: isTrue(query.get("submodules") ?? "true"),
  };
}

function splitFragment(fragment: string): readonly [string | undefined, string | undefined] {
  const colon = fragment.indexOf(":");
  const ref = colon < 0 ? fragment : fragment.slice(0, colon);
  return [ref === "" ? undefined : ref, colon < 0 ? undefined : fragment.slice(colon + 1)];
}

/** `github.com/…` is short for https. */
function normalizeRemote(remote: string): string {
  return remote.startsWith("github.com/") ? `https://${remote}` : remote;
}

function isTrue(value: string): boolean {
  return value === "" || value === "1" || value.toLowerCase() === "true";
}
