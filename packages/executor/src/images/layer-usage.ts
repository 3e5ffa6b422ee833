import type { LayerIndex } from "@varve/layer";

/** What one layer of an image comes to. */
export interface LayerUsage {
  /** Files, directories, links, whiteouts. */
  readonly entries: number;
  /** Bytes of its files: what Docker calls a layer's size. */
  readonly size: number;
  /** Bytes of its files that newer layers replace or remove, so that nobody sees them. */
  readonly wasted: number;
}

/** The usage of each layer, oldest first. */
export function layerUsage(indexes: readonly LayerIndex[]): readonly LayerUsage[] {
  const above = new Cover();
  const newestFirst = indexes.toReversed().map((index): LayerUsage => {
    const wasted = sizeOf(index.entries.filter(({ path }) => above.hides(path)));
    above.add(index);
    return { entries: index.entries.length, size: sizeOf(index.entries), wasted };
  });
  return newestFirst.toReversed();
}

function sizeOf(entries: readonly { readonly size: number }[]): number {
  return entries.reduce((sum, { size }) => sum + size, 0);
}

/** What layers hide of those beneath them. */
class Cover {
  /** Paths that are taken. */
  readonly #paths = new Set<string>();
  /** Paths beneath which nothing is seen. */
  readonly #closed = new Set<string>();

  add({ entries }: LayerIndex): void {
    for (const { path, type } of entries) {
      if (type !== "opaque") this.#paths.add(path);
      if (type !== "directory") this.#closed.add(path);
    }
  }

  hides(path: string): boolean {
    if (this.#paths.has(path)) return true;
    if (path !== "" && this.#closed.has("")) return true;
    for (let slash = path.indexOf("/"); slash >= 0; slash = path.indexOf("/", slash + 1))
      if (this.#closed.has(path.slice(0, slash))) return true;
    return false;
  }
}
