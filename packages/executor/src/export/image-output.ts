import type { ContentSource, Descriptor } from "@varve/oci";
import type { BuiltImage } from "../build.ts";

/** What an exporter is given: images that were built, as they shall be written. */
export interface ImageOutput {
  readonly images: readonly BuiltImage[];
  /** Of the one image's manifest, or of the index. */
  readonly descriptor: Descriptor;
  readonly content: ContentSource;
}
