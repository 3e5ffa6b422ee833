/**
 * Makes a directory tree as a large node_modules is: many small text files, a few large ones, links, nested packages.
 * The same seed gives the same tree. `node tools/make-tree.ts DIRECTORY [--files N] [--bytes N] [--seed N]`
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

export interface TreeShape {
  readonly files: number;
  /** Of all files together, about. */
  readonly bytes: number;
  readonly seed: number;
}

/** The tree that the speed budgets are measured on: 115,000 files of 735 MB. */
export const largeTree: TreeShape = { files: 115_000, bytes: 735_000_000, seed: 1 };

type Random = () => number;

const folders = ["lib", "dist", "dist/esm", "src", "src/internal", "types", "test", "build/cjs"];
const letters = "etaoinshrdlucmfwypvbgk";
const endings = [".js", ".js", ".js.map", ".d.ts", ".mjs", ".json", ".md"];

/** Writes the tree into `directory`, which is made where it is absent. */
export function makeTree(directory: string, shape: TreeShape): void {
  const random = createRandom(shape.seed);
  const text = makeText(random, 32 * 1024 * 1024);
  const mean = shape.bytes / shape.files;
  const made = new Set<string>();
  for (let file = 0; file < shape.files; file++) {
    const folder = join(directory, "node_modules", packageName(file), pick(random, folders));
    if (!made.has(folder)) mkdirSync(folder, { recursive: true });
    made.add(folder);
    const name = `${word(random)}-${file.toString(36)}${pick(random, endings)}`;
    writeFileSync(join(folder, name), slice(random, text, fileLength(random, mean)));
    if (file % 400 === 399) symlinkSync(`../${name}`, join(folder, `link-${file}`));
  }
}

/** Some hundred files a package; every fifth package nested in another. */
function packageName(file: number): string {
  const number = Math.floor(file / 120);
  return number % 5 === 4 ? `package-${number - 1}/node_modules/package-${number}` : `package-${number}`;
}

/** Log-normal, as sizes of files are; `mean` bytes on average. */
function fileLength(random: Random, mean: number): number {
  const spread = 1.4;
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.min(6_000_000, Math.ceil(mean * Math.exp(spread * normal - (spread * spread) / 2)));
}

/** Lines of words, indents and marks that deflate takes to about a quarter. */
function makeText(random: Random, length: number): Buffer {
  const words = Array.from({ length: 6000 }, () => word(random));
  const marks = [" ", " ", " ", ".", "(", ")", ", ", " = ", ";\n", ";\n  ", " {\n    ", "\n", '"', ": "];
  const text = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const choice = words[Math.floor(words.length * random() ** 6)] ?? "";
    const shown = random() < 0.02 ? Math.floor(random() * 1e9).toString(36) : choice;
    at += text.write(shown + pick(random, marks), at, "latin1") || 1;
    if (at < 8192 || random() > 0.12) continue;
    const from = at - 100 - Math.floor(random() * 8000);
    at += text.copy(text, at, from, from + 20 + Math.floor(random() * 60));
  }
  return text;
}

function slice(random: Random, text: Buffer, length: number): Buffer {
  const start = Math.floor(random() * (text.length - length));
  return text.subarray(start, start + length);
}

function word(random: Random): string {
  const length = 3 + Math.floor(random() * 9);
  return Array.from({ length }, () => letters.charAt(Math.floor(random() * letters.length))).join("");
}

function pick<T>(random: Random, choices: readonly T[]): T {
  const choice = choices[Math.floor(random() * choices.length)];
  if (choice === undefined) throw new Error("Nothing to pick from");
  return choice;
}

/** mulberry32: 0 to 1. */
function createRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

if (import.meta.main) {
  const options = { files: { type: "string" }, bytes: { type: "string" }, seed: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const directory = positionals[0];
  if (directory === undefined) throw new Error("Usage: make-tree.ts DIRECTORY [--files N] [--bytes N] [--seed N]");
  makeTree(directory, {
    files: Number(values.files ?? largeTree.files),
    bytes: Number(values.bytes ?? largeTree.bytes),
    seed: Number(values.seed ?? largeTree.seed),
  });
}
