import { type Descriptor, type Digest, parseIndex, REF_NAME } from "@varve/oci";
import { archiveInvalid, readArchiveJson } from "./archive-files.ts";
import type { ArchivedImage, ArchivePlace } from "./archived-image.ts";

const CONTAINERD_NAME = "io.containerd.image.name";

/** The images of an OCI layout in a tar, each once with all its names. @throws OciError `LAYOUT_INVALID` */
export async function readOciImages({ path, files }: ArchivePlace): Promise<readonly ArchivedImage[]> {
  const { bytes } = await readArchiveJson(files, { archive: path, name: "index.json" });
  const images = new Map<Digest, { readonly descriptor: Descriptor; readonly names: string[] }>();
  for (const { annotations, ...descriptor } of parseIndex(bytes).manifests) {
    const image = images.get(descriptor.digest) ?? { descriptor, names: [] as string[] };
    images.set(descriptor.digest, image);
    const name = annotations?.[CONTAINERD_NAME] ?? annotations?.[REF_NAME];
    if (name !== undefined) image.names.push(name);
    if (files.find(`blobs/${descriptor.digest.replace(":", "/")}`) === undefined)
      throw archiveInvalid(path, `it does not hold ${descriptor.digest}, which its index.json names`);
  }
  if (images.size === 0) throw archiveInvalid(path, "its index.json names no image");
  return [...images.values()];
}
