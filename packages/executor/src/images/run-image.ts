import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type FileTree, resolvePath } from "@varve/layer";
import type { Image } from "@varve/oci";
import { detectEmulator } from "../run/detect-emulator.ts";
import { selectRunner } from "../run/select-runner.ts";
import type { Attachment, RunCommand, Runner } from "../runner.ts";
import type { Snapshot } from "../snapshotter.ts";
import { lookupUser } from "../users.ts";
import { type ImageRootfsOptions, openImageRootfs } from "./open-image-rootfs.ts";

/** A process to run in an image; what it needs beside what the image's config says is decided by the caller. */
export interface ImageCommand extends Omit<RunCommand, "uid" | "gid" | "additionalGids"> {
  /** As USER has it: names or ids; "" is root. */
  readonly user: string;
  /** Directories that are made where the image has none: absolute. */
  readonly directories: readonly string[];
}

export interface RunImageOptions extends ImageRootfsOptions {
  readonly runner: "auto" | Runner["name"];
  readonly attachment: Attachment;
}

/**
 * Runs a process in a writable layer above the image's own, which is gone after it. Gives its exit code, 128 + signal
 * where one ended it.
 * @throws StepError `USER_UNKNOWN`, `PLATFORM_UNSUPPORTED`, `RUNNER_UNAVAILABLE`, `RUNNER_FAILED`, `MOUNT_FAILED`.
 */
export async function runImage(
  image: Image,
  command: ImageCommand,
  options: RunImageOptions,
): Promise<{ readonly exitCode: number }> {
  detectEmulator(image.config);
  const { store } = options;
  const { base, snapshotter } = await openImageRootfs(image, options);
  const { directories, user: spec, ...rest } = command;
  const { home, ...user } = lookupUser(spec, base.tree);
  await using snapshot = await snapshotter.prepare(base, await store.makeTemporaryDirectory("mounts"));
  for (const path of [command.workdir, ...directories]) await makeDirectory(path, { snapshot, tree: base.tree });
  const env = command.env.some((pair) => pair.startsWith("HOME=")) ? command.env : [...command.env, `HOME=${home}`];
  const runner = await selectRunner(options.runner, { single: true });
  try {
    return await runner.run(
      { ...rest, env, ...user },
      {
        rootfs: snapshot.rootfs,
        scratch: await store.makeTemporaryDirectory("tmp"),
        signal: options.signal,
        onOutput: (stream, chunk) => process[stream].write(chunk),
        attachment: options.attachment,
      },
    );
  } finally {
    await runner.close?.();
  }
}

async function makeDirectory(
  path: string,
  { snapshot, tree }: { readonly snapshot: Snapshot; readonly tree: FileTree },
): Promise<void> {
  const found = resolvePath(tree, path, { followLast: true });
  if (found.entry === undefined) await mkdir(join(snapshot.rootfs, found.path), { recursive: true, mode: 0o755 });
}
