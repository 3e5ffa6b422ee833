import { createHash, hash } from "node:crypto";
import type { Digest } from "@varve/oci";
import { FileProblem, openRegularFile, type RegularFile, withProblem } from "./regular-file.ts";

/** Files to be digested, in order. */
export type FilesToDigest = readonly { readonly path: string; readonly size: number }[];

/** A file that was digested as it stood: `state` is its inode, size, mtime and ctime, nanoseconds, joined by spaces. */
export interface DigestedPath {
  readonly digest?: Digest;
  readonly state?: string;
  readonly problem?: Pick<FileProblem, "kind" | "message">;
}

const chunkLength = 1024 * 1024;

/** Digests files, each as it is now, in the same order. */
export function doDigest(files: FilesToDigest): readonly DigestedPath[] {
  const buffer = new Uint8Array(chunkLength);
  return files.map((file) => {
    const digested = withProblem(() => digestFile(file, buffer));
    return "kind" in digested ? { problem: digested } : digested;
  });
}

function digestFile({ path, size }: FilesToDigest[number], buffer: Uint8Array): DigestedPath {
  using file = openRegularFile(path);
  if (file.size !== size) throw new FileProblem("changed", "it changed its size");
  if (size > buffer.length) return { digest: digestLarge(file, buffer), state: file.state };
  const bytes = buffer.subarray(0, size);
  file.fill(bytes, 0);
  file.check();
  return { digest: `sha256:${hash("sha256", bytes, "hex")}`, state: file.state };
}

function digestLarge(file: RegularFile, buffer: Uint8Array): Digest {
  const sum = createHash("sha256");
  for (let at = 0; at < file.size; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, file.size - at));
    file.fill(piece, at);
    sum.update(piece);
  }
  file.check();
  return `sha256:${sum.digest("hex")}`;
}
