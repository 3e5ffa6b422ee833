import { openLocalStore } from "@varve/cache";
import { compareTrees, readLayerIndexes, type TreeChange } from "@varve/executor";
import { type FileTree, stackTrees } from "@varve/layer";
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG } from "../image-flags.ts";
import { findImageFor, type PlaceOptions } from "../places/open-place.ts";
import { storePath } from "../store-path.ts";
import type { Platform } from "@varve/oci";

/** `varve diff`. */
export const diffCommand: Command = {
  usage: "[OPTIONS] A B",
  description:
    "Says what the files of image B have otherwise than those of image A: A added, C changed, D deleted, as docker diff. IMAGE#N is the image up to its Nth layer, IMAGE#0 nothing at all; with one argument IMAGE#N, what that layer changed. Times are left out.",
  flags: [
    STORE_FLAG,
    PLATFORM_FLAG,
    { name: "json", description: "As JSON: added, modified and deleted with types, sizes and what differs" },
    { name: "exit-code", description: "End with 1 where there is a difference" },
  ],
  examples: ["varve diff app:1 app:2", "varve diff app:1#2", "varve diff docker-archive:old.tar app:2"],
  async run(flags, signal) {
    const [a, b] = chooseSides(flags.positionals);
    await using store = await openLocalStore(storePath(flags.value("store")));
    const options = { store, signal, platform: platformOf(flags) };
    const changes = compareTrees(await openTree(a, options), await openTree(b, options));
    process.stdout.write(
      flags.is("json") ? `${JSON.stringify(describe(changes), undefined, 2)}\n` : formatChanges(changes),
    );
    return flags.is("exit-code") && changes.length > 0 ? 1 : 0;
  },
};

/** An image, or what it is up to one of its layers. */
interface Side {
  readonly image: string;
  readonly layers: number | undefined;
}

function chooseSides(words: readonly string[]): readonly [Side, Side] {
  const [a, b, ...others] = words;
  const wrong = (why: string): UsageError =>
    new UsageError(`Cannot compare: ${why}`, "Write varve diff A B, or varve diff IMAGE#N");
  if (a === undefined) throw wrong("no image was given");
  if (others.length > 0) throw wrong(`two images were wanted, not ${words.length}`);
  const first = parseSide(a);
  if (b !== undefined) return [first, parseSide(b)];
  if (first.layers === undefined || first.layers === 0) throw wrong(`"${a}" is to be compared with nothing`);
  return [{ ...first, layers: first.layers - 1 }, first];
}

function parseSide(text: string): Side {
  const [, image = text, number] = /^(.+)#(\d+)$/s.exec(text) ?? [];
  return { image, layers: number === undefined ? undefined : Number(number) };
}

async function openTree(
  { image: text, layers }: Side,
  options: PlaceOptions & { readonly platform: Platform },
): Promise<FileTree> {
  const { image } = await findImageFor(text, options);
  const count = layers ?? image.layers.length;
  if (count > image.layers.length)
    throw new UsageError(`Cannot use "${text}#${count}": the image has ${image.layers.length} layers`);
  const cut = { ...image, layers: image.layers.slice(0, count) };
  return stackTrees((await readLayerIndexes(cut, options)).map((index) => ({ index })));
}

const LETTERS = { added: "A", modified: "C", deleted: "D" } as const;

function formatChanges(changes: readonly TreeChange[]): string {
  return changes.map((change) => `${LETTERS[change.kind]} /${change.path}${formatParts(change)}\n`).join("");
}

function formatParts(change: TreeChange): string {
  return change.kind === "modified" && !(change.parts.length === 1 && change.parts[0] === "content")
    ? ` (${change.parts.join(", ")})`
    : "";
}

function describe(changes: readonly TreeChange[]): Readonly<Record<string, readonly unknown[]>> {
  const of = (kind: TreeChange["kind"]): readonly unknown[] =>
    changes.filter((change) => change.kind === kind).map((change) => describeChange(change));
  return { added: of("added"), modified: of("modified"), deleted: of("deleted") };
}

function describeChange(change: TreeChange): unknown {
  const { path, entry } = change;
  const common = { path: `/${path}`, type: entry.type, size: entry.size };
  return change.kind === "modified" ? { ...common, sizeBefore: change.before.size, differs: change.parts } : common;
}
