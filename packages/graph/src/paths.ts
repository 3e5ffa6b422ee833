/** `path` seen from directory `base`, without "." and ".."; absolute, no slash at the end but for the root. */
export function joinPath(base: string, path: string): string {
  const names: string[] = [];
  for (const name of (path.startsWith("/") ? path : `${base}/${path}`).split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

/** A COPY's destination: absolute, with a slash at its end where the word says that it is a directory. */
export function destinationPath(workdir: string, word: string): string {
  const path = joinPath(workdir, word);
  const isDirectory =
    word === "." || word === "" || word.endsWith("/") || word.endsWith("/.") || word.endsWith("/..") || word === "..";
  return isDirectory && path !== "/" ? `${path}/` : path;
}

/**
 * The working directory that WORKDIR makes of its word, as it stands in the config: an absolute one stays as it was
 * written, a relative one keeps the slash or "/." at its end. BuildKit's `system.NormalizePath`.
 */
export function normalizeWorkdir(current: string, word: string): string {
  if (word.startsWith("/")) return word;
  const path = joinPath(current, word);
  const [, end = ""] = /(\/\.?)$/.exec(word) ?? [];
  return path === "/" ? path + end.slice(1) : path + end;
}
