import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { Descriptor } from "@varve/oci";
import type { SignedRecord, VerifyKey } from "./protocol.ts";

/** Keeps a signature over a record from being one over anything else. */
const DOMAIN = "varve/signed-record/1";
/** What stands before the 32 bytes of a public key in SPKI. RFC 8410, section 4. */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** Everything of a signed record but its signature. */
export type UnsignedRecord = Omit<SignedRecord, "signature">;

/**
 * What is signed: texts in a fixed order, each behind its length in bytes (4 bytes, big-endian), in UTF-8.
 * docs/protocol.md, "Signatures", lists them.
 */
export function signatureInput({ record, lane, principal, signedAt, keyId }: UnsignedRecord): Uint8Array {
  const { key, layer, ingredients, createdAt, duration, producer } = record;
  const texts = [DOMAIN, keyId, lane, principal, signedAt, key, createdAt, String(duration), producer];
  if (layer === undefined) texts.push("no layer");
  else texts.push("layer", ...words(layer.descriptor), layer.diffId, layer.contentDigest, ...words(layer.index));
  for (const name of Object.keys(ingredients).toSorted()) texts.push(name, ingredients[name] ?? "");
  return Buffer.concat(texts.flatMap(frame));
}

function words({ mediaType, digest, size }: Descriptor): readonly string[] {
  return [mediaType, digest, String(size)];
}

function frame(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return [length, bytes];
}

/** `unsigned` with the signature of `key`, a private Ed25519 key. RFC 8032, section 5.1. */
export function signRecord(unsigned: UnsignedRecord, key: KeyObject): SignedRecord {
  return { ...unsigned, signature: sign(null, signatureInput(unsigned), key).toString("base64") };
}

/** True where one of `keys` is the one that the record names, and its signature holds. */
export function verifyRecord(signed: SignedRecord, keys: readonly VerifyKey[]): boolean {
  const found = keys.find(({ keyId }) => keyId === signed.keyId);
  if (found === undefined) return false;
  const raw = Buffer.from(found.publicKey, "base64");
  if (raw.length !== 32) return false;
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: "der", type: "spki" });
  return verify(null, signatureInput(signed), key, Buffer.from(signed.signature, "base64"));
}
