import type { Descriptor } from "@varve/oci";
import type { ArchiveContent } from "./archive-content.ts";
import type { ArchiveFiles } from "./archive-files.ts";

/** An image of an archive. */
export interface ArchivedImage {
  /** Of its manifest, or of an index. */
  readonly descriptor: Descriptor;
  /** As the archive writes them: `docker.io/library/app:1`, `app:1`, or a tag alone. */
  readonly names: readonly string[];
}

/** An archive while its images are read. */
export interface ArchivePlace {
  readonly path: string;
  readonly files: ArchiveFiles;
  readonly content: ArchiveContent;
}
