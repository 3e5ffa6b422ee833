import type { Lane, MountState, RecordLayer } from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { Database } from "../database/database.ts";
import { blobKey, mountKey } from "../database/keys.ts";
import { ServerError } from "../errors.ts";
import { type Principal, writeLaneOf } from "../trust/principal.ts";
import { grantBlob } from "./blob-rows.ts";
import { putMountRow, readMountRow } from "./mount-rows.ts";
import { checkLayer } from "./records.ts";
import type { Uses } from "./uses.ts";

/** Contents of cache mounts by lane and id; the last write wins. */
export interface Mounts {
  find(id: string, lanes: readonly Lane[]): MountState | undefined;
  /** @throws ServerError `BLOBS_MISSING`, `TOO_LARGE`. */
  put(id: string, state: MountState, principal: Principal): Promise<void>;
}

export interface MountsOptions {
  readonly database: Database;
  readonly uses: Uses;
  /** Most bytes of one mount's layer. */
  readonly maxBytes: number;
}

/** Mounts in these rows. */
export function createMounts({ database, uses, maxBytes }: MountsOptions): Mounts {
  return {
    find(id, lanes) {
      for (const lane of lanes) {
        const row = readMountRow(database.get(mountKey(id, lane)));
        if (row === undefined) continue;
        for (const digest of blobsOf(row.layer)) uses.touch(blobKey(digest));
        return { layer: row.layer, updatedAt: row.updatedAt };
      }
      return undefined;
    },
    async put(id, { layer, updatedAt }, principal) {
      const lane = writeLaneOf(principal);
      if (layer.descriptor.size > maxBytes)
        throw new ServerError(
          "TOO_LARGE",
          `Cannot keep the cache mount: it has ${layer.descriptor.size} bytes; the server takes ${maxBytes}`,
        );
      await database.change((rows) => {
        checkLayer(rows.get, layer, principal);
        for (const digest of blobsOf(layer)) grantBlob(rows, digest, lane);
        const { name, tokenId } = principal;
        const written = { layer, updatedAt, principal: name, tokenId, writtenAt: Date.now() };
        putMountRow(rows, mountKey(id, lane), written);
      });
    },
  };
}

function blobsOf({ descriptor, index }: RecordLayer): readonly Digest[] {
  return [descriptor.digest, index.digest];
}
