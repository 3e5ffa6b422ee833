import { createHash, type Hash } from "node:crypto";
import { OciError } from "./errors.ts";
import { sha256 } from "./sha256.ts";

/** `sha256:` and 64 lower-case hex digits. Image spec, descriptor.md, "Digests". */
export type Digest = `sha256:${string}`;

const PATTERN = /^sha256:[0-9a-f]{64}$/;

/** True where `text` is a digest in the form that varve reads and writes. */
export function isDigest(text: string): text is Digest {
  return PATTERN.test(text);
}

/**
 * `text` as a digest.
 * @throws OciError `DIGEST_INVALID`.
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new OciError("DIGEST_INVALID", `Cannot use digest "${text}": wanted "sha256:" and 64 lower-case hex digits`);
}

/** The 64 hex digits of `digest`. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/** The digest of `bytes`. */
export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${sha256(bytes).toString("hex")}`;
}

/** Takes bytes piece by piece and gives the digest of all of them. */
export interface Digester {
  update(bytes: Uint8Array): void;
  /** Ends it: to be called once. */
  digest(): Digest;
}

/** Pieces that come to no more are put together first. Bytes. */
const SMALL = 8 * 1024;

/** A digester that has seen nothing. */
export function createDigester(): Digester {
  let pieces: Uint8Array[] = [];
  let length = 0;
  let state: Hash | undefined;
  return {
    update(bytes) {
      length += bytes.length;
      if (length <= SMALL) {
        pieces.push(Buffer.from(bytes));
        return;
      }
      state ??= pieces.reduce((hash, piece) => hash.update(piece), createHash("sha256"));
      pieces = [];
      state.update(bytes);
    },
    digest: () => (state === undefined ? digestOf(Buffer.concat(pieces)) : `sha256:${state.digest("hex")}`),
  };
}
