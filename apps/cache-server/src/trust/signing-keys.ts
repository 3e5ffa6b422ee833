import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { VerifyKey } from "@varve/cache";
import { writeFileWhole } from "../write-file-whole.ts";

/** The keys that records are signed with: now, and before. */
export interface SigningKeys {
  readonly keyId: string;
  readonly privateKey: KeyObject;
  /** The one in use and those before it. */
  readonly verifyKeys: readonly VerifyKey[];
}

interface StoredKey extends VerifyKey {
  /** PKCS #8 in PEM; left out once the key is retired. */
  readonly privateKey?: string;
}

/** The keys in the file `path`, readable by its owner alone; a first one is made where there is none. */
export async function openSigningKeys(path: string): Promise<SigningKeys> {
  const stored = await readKeys(path);
  const current = stored.find((key) => key.privateKey !== undefined);
  if (current?.privateKey === undefined) {
    await rotateSigningKey(path);
    return openSigningKeys(path);
  }
  return {
    keyId: current.keyId,
    privateKey: createPrivateKey(current.privateKey),
    verifyKeys: stored.map(({ privateKey: _, ...key }) => key),
  };
}

/** Makes a new key in the file `path` and retires the one in use; gives its id. */
export async function rotateSigningKey(path: string): Promise<string> {
  const now = new Date().toISOString();
  const retired = (await readKeys(path)).map(({ privateKey: _, ...key }) => ({
    ...key,
    retiredAt: key.retiredAt ?? now,
  }));
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const key: StoredKey = {
    keyId: createHash("sha256").update(raw).digest("hex").slice(0, 16),
    publicKey: raw.toString("base64"),
    createdAt: now,
    privateKey: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
  };
  await writeFileWhole(path, `${JSON.stringify({ keys: [key, ...retired] }, undefined, 2)}\n`);
  return key.keyId;
}

async function readKeys(path: string): Promise<readonly StoredKey[]> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? [] : (JSON.parse(text) as { readonly keys: readonly StoredKey[] }).keys;
}
