import { createHash } from "node:crypto";
import type { TarHeader } from "./read-header.ts";
import { readTar } from "./read-tar.ts";

/**
 * The checksum of an uncompressed tar in Docker's image specification 1, such as `tarsum.v1+sha256:` and 64 hex
 * digits: TarSum specification, version 1. It does not depend on the order of the members, nor on their times.
 * @throws LayerError `ARCHIVE_CORRUPT`.
 */
export async function tarSum(content: AsyncIterable<Uint8Array>): Promise<string> {
  const sums: string[] = [];
  for await (const { header, body } of readTar(content)) {
    const sum = createHash("sha256");
    for (const part of headerParts(header)) sum.update(part);
    for await (const chunk of body) sum.update(chunk);
    sums.push(sum.digest("hex"));
  }
  const total = createHash("sha256").update(sums.toSorted().join(""));
  return `tarsum.v1+sha256:${total.digest("hex")}`;
}

/** Names and values without anything between them; the names of users and groups count as empty. */
function headerParts(header: TarHeader): readonly (string | Uint8Array)[] {
  const xattrs = Object.entries(header.xattrs ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return [
    `name${header.name}mode${header.mode}uid${header.uid}gid${header.gid}size${header.size}`,
    `typeflag${header.flag}linkname${header.linkname}unamegname`,
    `devmajor${header.device.major}devminor${header.device.minor}`,
    ...xattrs.flat(),
  ];
}
