import { CacheError } from "../errors.ts";
import type { Memo } from "../ports.ts";
import { parseVerifyKeys } from "./parse-protocol.ts";
import type { SignedRecord, VerifyKey } from "./protocol.ts";
import { verifyRecord } from "./record-signature.ts";
import { readJson, type Server, sendToServer } from "./transport.ts";

const MEMO = "server-keys/1";

export interface PinnedKeysOptions {
  readonly server: Server;
  /** Where the keys of servers are remembered. */
  readonly memo: Memo;
  /** Public keys in base64 that alone are trusted; empty: those that were there at first use. */
  readonly trusted: readonly string[];
}

/** Decides whether a record was signed by the server that we know. */
export interface PinnedKeys {
  /** @throws CacheError `REMOTE_UNTRUSTED` where one of the records was not. */
  check(records: readonly SignedRecord[]): Promise<void>;
}

/**
 * Keys as in SSH: what a server shows at first use is remembered by its URL. Later ones are taken where it still shows
 * one of those; a server that shows none of them is another server. docs/protocol.md, "Signatures".
 */
export function createPinnedKeys(options: PinnedKeysOptions): PinnedKeys {
  let known: Promise<readonly VerifyKey[]> | undefined;
  let fetched = false;
  return {
    async check(records) {
      if (records.length === 0) return;
      const keys = await (known ??= recall(options));
      if (records.every((record) => verifyRecord(record, keys))) return;
      if (!fetched) {
        fetched = true;
        known = fetchKeys(options, keys);
        return this.check(records);
      }
      throw new CacheError(
        "REMOTE_UNTRUSTED",
        `Cannot trust "${options.server.url}": it gave a record without a signature of its own`,
      );
    },
  };
}

async function recall({ server, memo, trusted }: PinnedKeysOptions): Promise<readonly VerifyKey[]> {
  const value = trusted.length > 0 ? undefined : await memo.get(MEMO, server.url);
  return value === undefined ? [] : parseVerifyKeys(JSON.parse(Buffer.from(value).toString("utf8")));
}

async function fetchKeys(
  { server, memo, trusted }: PinnedKeysOptions,
  remembered: readonly VerifyKey[],
): Promise<readonly VerifyKey[]> {
  const keys = parseVerifyKeys(await readJson(await sendToServer(server, "/keys")));
  if (trusted.length > 0) return keys.filter(({ publicKey }) => trusted.includes(publicKey));
  const isKnown = keys.some((key) => remembered.some(({ publicKey }) => publicKey === key.publicKey));
  if (remembered.length > 0 && !isKnown)
    throw new CacheError(
      "REMOTE_UNTRUSTED",
      `Cannot trust "${server.url}": it signs with other keys than those that this store remembers`,
      { hint: "If its keys were replaced on purpose: varve cache trust URL" },
    );
  await memo.put(MEMO, server.url, Buffer.from(JSON.stringify({ keys })));
  return keys;
}

/** Forgets the keys of the server at `url`: those that it shows next are trusted. */
export async function forgetServerKeys(memo: Memo, url: string): Promise<void> {
  await memo.put(MEMO, url, Buffer.from(JSON.stringify({ keys: [] })));
}
