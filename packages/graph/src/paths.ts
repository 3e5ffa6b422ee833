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
