import type { Image } from "@varve/oci";

/** A line of an image's history, in Docker's words. */
export interface HistoryLine {
  /** The image's ID at its newest line; undefined at the others, which are no images of their own. */
  readonly id: string | undefined;
  /** RFC 3339; undefined where it is not said. */
  readonly created: string | undefined;
  readonly createdBy: string;
  /** Bytes of the files in its layer; 0 where it made none. */
  readonly size: number;
  readonly comment: string;
}

/** The history of an image, newest first; `sizes` are those of its layers, oldest first. */
export function imageHistory({ manifest, config }: Image, sizes: readonly number[]): readonly HistoryLine[] {
  const history = config.history ?? [];
  let layer = 0;
  const oldestFirst = history.map((line, position): HistoryLine => {
    const size = line.empty_layer === true ? 0 : (sizes[layer++] ?? 0);
    return {
      id: position === history.length - 1 ? manifest.config.digest : undefined,
      created: line.created,
      createdBy: line.created_by ?? "",
      size,
      comment: line.comment ?? "",
    };
  });
  return oldestFirst.toReversed();
}
