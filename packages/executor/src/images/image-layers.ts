import type { Image } from "@varve/oci";
import type { RootfsLayer } from "../rootfs.ts";

/** The layers of an image that was not built here, as a rootfs has them. */
export function imageLayers({ layers, content }: Image): readonly RootfsLayer[] {
  return layers.map((layer) => ({ layer, id: layer.diffId, content, index: undefined, createdAt: undefined }));
}
