import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { digestOf, hexOf } from "@varve/oci";
import { explain } from "./local-content.ts";
import type { Memo } from "./ports.ts";
import { replaceFile } from "./replace-file.ts";
import type { SharedLevel } from "./shared-level.ts";
import { touch } from "./touch.ts";

const MEMO = "memo/1/";
/** Larger values are files of their own: LevelDB would write each of them three times. Bytes. */
const LARGEST_IN_LEVEL = 4096;
/** All that a build asks for which finds everything as it was: it does without LevelDB then. */
const ALWAYS_FILES: ReadonlySet<string> = new Set(["selection/2", "lineage-last/1"]);
/** Keys that are names of files as they are. */
const DIGEST = /^(?:sha256:)?([0-9a-f]{64})$/;

export interface LocalMemoOptions {
  /** Where large values are kept. */
  readonly directory: string;
}

/**
 * Values in LevelDB under `memo/1/<namespace>/<key>`; large ones, and those of some namespaces, in files,
 * `<namespace, "-" for "/">/<key, or the sha256 of a key that is no digest>`.
 */
export function createLocalMemo(level: SharedLevel, { directory }: LocalMemoOptions): Memo {
  const fileOf = (namespace: string, key: string): string =>
    join(directory, namespace.replaceAll("/", "-"), DIGEST.exec(key)?.[1] ?? hexOf(digestOf(Buffer.from(key))));
  return {
    async get(namespace, key) {
      const file = fileOf(namespace, key);
      const large = readOrAbsent(file);
      if (large !== undefined) {
        touch(file);
        return large;
      }
      const value = await level.run((database) => database.get(`${MEMO}${namespace}/${key}`));
      // As an older varve left it.
      if (value !== undefined && ALWAYS_FILES.has(namespace)) await this.put(namespace, key, value);
      return value;
    },
    async put(namespace, key, value) {
      const file = fileOf(namespace, key);
      if (value.length > LARGEST_IN_LEVEL || ALWAYS_FILES.has(namespace))
        return explain(directory, async () => replaceFile(file, value));
      rmSync(file, { force: true });
      return level.run((database) => database.put(`${MEMO}${namespace}/${key}`, value));
    },
  };
}

function readOrAbsent(file: string): Uint8Array | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
