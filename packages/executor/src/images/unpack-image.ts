import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { applyLayer } from "@varve/layer";
import type { Image } from "@varve/oci";
import { StepError } from "../errors.ts";
import { exportError } from "../export/write-file.ts";

/**
 * Writes the file system of an image into directory `path`, owners and all; its layers are read where they are. The
 * directory appears whole or not at all; it must be absent or empty.
 * @throws StepError `EXPORT_FAILED`; LayerError `DIFF_ID_MISMATCH`, `ARCHIVE_CORRUPT`, `PERMISSION_MISSING`.
 */
export async function unpackImage(image: Image, path: string, signal: AbortSignal): Promise<void> {
  const target = resolve(path);
  try {
    if (existsSync(target) && (await readdir(target)).length > 0)
      throw new StepError("EXPORT_FAILED", `Cannot unpack into "${path}": it is not empty`, {
        hint: "Name a directory that is not there yet",
      });
    await mkdir(dirname(target), { recursive: true });
    const temporary = await mkdtemp(`${target}.partial-`);
    try {
      await applyLayers(image, temporary, signal);
      await rm(target, { recursive: true, force: true });
      await rename(temporary, target);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  } catch (cause) {
    throw exportError(path, cause);
  }
}

async function applyLayers({ layers, content }: Image, directory: string, signal: AbortSignal): Promise<void> {
  // mkdtemp makes directories that only their owner can enter.
  await chmod(directory, 0o755);
  for (const { descriptor, diffId } of layers)
    await applyLayer(content.fetch(descriptor, { signal }), { directory, expectedDiffId: diffId, signal });
}
