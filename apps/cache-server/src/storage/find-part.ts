import type { Lane, UploadPart } from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { Database } from "../database/database.ts";
import { partsKey } from "../database/keys.ts";
import { hasGrant, readBlobRow } from "./blob-rows.ts";

/** Where the bytes of a part are. */
export interface FoundPart {
  readonly blob: Digest;
  readonly offset: number;
}

/** Blobs with the same part that are looked at before it counts as missing. */
const MAX_BLOBS = 100;

/** Where a part stands in a blob that is readable in one of `lanes`; undefined where there is none. */
export async function findPart(
  database: Database,
  part: UploadPart,
  lanes: readonly Lane[],
): Promise<FoundPart | undefined> {
  if (readBlobRow(database.get, part.digest)?.size === part.size && hasGrant(database.get, part.digest, lanes))
    return { blob: part.digest, offset: 0 };
  const prefix = `part/${part.digest.slice("sha256:".length)}/`;
  let looked = 0;
  for await (const [key, offset] of database.list(prefix)) {
    const blob: Digest = `sha256:${key.slice(prefix.length)}`;
    if (hasGrant(database.get, blob, lanes) && database.get(partsKey(blob)) !== undefined)
      return { blob, offset: Number(offset) };
    if ((looked += 1) >= MAX_BLOBS) break;
  }
  return undefined;
}
