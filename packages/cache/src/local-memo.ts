import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { explain } from "./local-content.ts";
import type { Memo } from "./ports.ts";
import { processIdentity } from "./process-identity.ts";
import type { SharedLevel } from "./shared-level.ts";
import { touch } from "./touch.ts";

const MEMO = "memo/1/";
/** Larger values are files of their own: LevelDB would write each of them three times. Bytes. */
const LARGEST_IN_LEVEL = 4096;

export interface LocalMemoOptions {
  /** Where large values are kept. */
  readonly directory: string;
}

/** Values in LevelDB under `memo/1/<namespace>/<key>`; large ones in files, `<namespace, "-" for "/">/<sha256 of the key>`. */
export function createLocalMemo(level: SharedLevel, { directory }: LocalMemoOptions): Memo {
  const fileOf = (namespace: string, key: string): string =>
    join(directory, namespace.replaceAll("/", "-"), createHash("sha256").update(key).digest("hex"));
  return {
    async get(namespace, key) {
      const file = fileOf(namespace, key);
      const large = readOrAbsent(file);
      if (large !== undefined) touch(file);
      return large ?? level.run((database) => database.get(`${MEMO}${namespace}/${key}`));
    },
    async put(namespace, key, value) {
      const file = fileOf(namespace, key);
      if (value.length > LARGEST_IN_LEVEL) return explain(directory, async () => replaceFile(file, value));
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

/** Not synced: what is lost with the machine is learnt again. */
function replaceFile(file: string, value: Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${processIdentity()}`;
  writeFileSync(temporary, value);
  renameSync(temporary, file);
}
