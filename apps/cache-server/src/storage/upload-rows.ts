import type { Lane, UploadPart } from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { ReadRow } from "./blob-rows.ts";
import { receivedKey, uploadKey } from "../database/keys.ts";

/** An upload that is under way. Its file has the blob's size; each part is written where it belongs. */
export interface UploadRow {
  readonly digest: Digest;
  readonly size: number;
  readonly parts: readonly UploadPart[];
  /** Parts that stood in other blobs when it began: a bit each, in base64. */
  readonly found: string;
  readonly lane: Lane;
  readonly principal: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** An upload by its id; undefined where there is none. */
export function readUploadRow(get: ReadRow, id: string): UploadRow | undefined {
  const text = get(uploadKey(id));
  return text === undefined ? undefined : (JSON.parse(text) as UploadRow);
}

/** Which parts of an upload are in its file: a bit each. */
export function readReceived(get: ReadRow, id: string): Uint8Array {
  return decodeBits(get(receivedKey(id)) ?? "");
}

/** Positions of the parts that are neither in the file nor were found elsewhere, in order. */
export function missingPositions(row: UploadRow, received: Uint8Array): readonly number[] {
  const found = decodeBits(row.found);
  return [...row.parts.keys()].filter((position) => !hasBit(found, position) && !hasBit(received, position));
}

function decodeBits(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}

/** `count` bits as a row holds them, of which those at `positions` are set. */
export function encodePositions(positions: Iterable<number>, count: number): string {
  const bits = new Uint8Array(Math.ceil(count / 8));
  for (const position of positions) setBit(bits, position, 1);
  return encodeBits(bits);
}

/** Bits as a row holds them. */
export function encodeBits(bits: Uint8Array): string {
  return Buffer.from(bits).toString("base64");
}

/** True where the bit at `position` is set. */
export function hasBit(bits: Uint8Array, position: number): boolean {
  return ((bits[position >> 3] ?? 0) & (1 << (position & 7))) !== 0;
}

/** Sets or clears the bit at `position`. */
export function setBit(bits: Uint8Array, position: number, value: 0 | 1): void {
  const mask = 1 << (position & 7);
  const byte = bits[position >> 3] ?? 0;
  bits[position >> 3] = value === 1 ? byte | mask : byte & ~mask;
}
