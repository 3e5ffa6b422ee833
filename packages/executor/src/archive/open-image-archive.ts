import type { ContentSource } from "@varve/oci";
import { createArchiveContent } from "./archive-content.ts";
import { archiveInvalid, openArchiveFiles } from "./archive-files.ts";
import type { ArchivedImage } from "./archived-image.ts";
import { readDockerImages } from "./read-docker-images.ts";
import { readOciImages } from "./read-oci-images.ts";
import { readV1Images } from "./read-v1-images.ts";

/** Images in a tar. */
export interface ImageArchive extends AsyncDisposable {
  /** An OCI layout; what `docker save` wrote before; what it wrote before Docker 1.10. */
  readonly form: "oci" | "docker" | "docker-v1";
  readonly images: readonly ArchivedImage[];
  /** All that the images lead to. */
  readonly content: ContentSource;
}

export interface ImageArchiveOptions {
  /** A directory for what has to be unpacked; emptied of it again by disposal. */
  readonly scratch: string;
  readonly signal: AbortSignal;
}

/**
 * Opens an archive of images: an OCI layout in a tar (image spec, image-layout.md), with or without Docker's
 * manifest.json; the manifest.json form (Docker image specification 1.2); or the form of directories with VERSION,
 * json and layer.tar (specification 1.0). It may be compressed. A plain archive is read where it stands.
 * @throws OciError `LAYOUT_INVALID`, `DIGEST_MISMATCH`; LayerError `ARCHIVE_CORRUPT`.
 */
export async function openImageArchive(path: string, options: ImageArchiveOptions): Promise<ImageArchive> {
  const files = await openArchiveFiles(path, options);
  try {
    const content = createArchiveContent(files);
    const place = { path, files, content };
    const close = { [Symbol.asyncDispose]: () => files[Symbol.asyncDispose]() };
    if (files.find("index.json") !== undefined)
      return { form: "oci", images: await readOciImages(place), content, ...close };
    if (files.find("manifest.json") !== undefined)
      return { form: "docker", images: await readDockerImages(place), content, ...close };
    if (files.find("repositories") !== undefined)
      return { form: "docker-v1", images: await readV1Images(place), content, ...close };
    throw archiveInvalid(path, "it has no index.json, manifest.json or repositories");
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
}
