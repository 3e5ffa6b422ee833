/** True for a word of ADD that names a git repository: moby's git reference forms. */
export function isGitUrl(word: string): boolean {
  if (/^(?:git|ssh):\/\//i.test(word)) return true;
  if (/^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^/\s].*/.test(word)) return true;
  if (/^github\.com\/[^/]+\/[^/]+/.test(word)) return false;
  const [path = ""] = word.split(/[?#]/, 1);
  return /^https?:\/\//i.test(word) && path.endsWith(".git");
}

/** True for a word of ADD that names a file to download. */
export function isHttpUrl(word: string): boolean {
  return /^https?:\/\//i.test(word) && !isGitUrl(word);
}
