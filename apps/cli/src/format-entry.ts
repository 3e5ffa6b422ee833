import type { Entry, EntryType } from "@varve/layer";

const LETTERS: Readonly<Record<EntryType, string>> = {
  file: "-",
  directory: "d",
  symlink: "l",
  hardlink: "h",
  "char-device": "c",
  "block-device": "b",
  fifo: "p",
  whiteout: "w",
  opaque: "o",
};

/** An entry as `tar -tv` shows one, without its time; `w` is a whiteout, `o` an opaque directory. */
export function formatEntry({ type, mode, uid, gid, size, path, linkname }: Entry): string {
  const owner = `${uid}:${gid}`.padEnd(9);
  const target = linkname === undefined ? "" : ` -> ${type === "hardlink" ? "/" : ""}${linkname}`;
  return `${LETTERS[type]}${formatMode(mode)} ${owner} ${String(size).padStart(10)} /${path}${target}`;
}

function formatMode(mode: number): string {
  const bits = [..."rwxrwxrwx"].map((letter, position) => ((mode >> (8 - position)) & 1 ? letter : "-"));
  const special = [
    [0o4000, 2, "s"],
    [0o2000, 5, "s"],
    [0o1000, 8, "t"],
  ] as const;
  for (const [bit, position, letter] of special)
    if ((mode & bit) !== 0) bits[position] = bits[position] === "x" ? letter : letter.toUpperCase();
  return bits.join("");
}
