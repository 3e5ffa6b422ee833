import { layerUsage, readLayerIndexes } from "@varve/executor";
import type { Image } from "@varve/oci";
import type { FoundImage, PlaceOptions } from "./open-place.ts";

/**
 * Bytes of the files in each layer, oldest first, as Docker counts them. Of an image at a registry no layer is fetched
 * for that: what the layers take there is told.
 */
export async function layerSizes(
  { image, reference }: FoundImage & { readonly image: Image },
  options: PlaceOptions,
): Promise<readonly number[]> {
  if (reference !== undefined) return image.layers.map(({ descriptor }) => descriptor.size);
  return layerUsage(await readLayerIndexes(image, options)).map(({ size }) => size);
}
