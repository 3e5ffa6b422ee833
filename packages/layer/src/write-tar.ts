import type { Digest } from "@varve/oci";
import type { Entry } from "./entry.ts";
import { blockLength, encodeHeader, paddedLength } from "./write-header.ts";

/** A member to be written: a path as `Entry.path`, and for a file its bytes. Owner 0:0 and time 0 where nothing is said. */
export type NewMember =
  | {
      readonly type: "file";
      readonly path: string;
      readonly size: number;
      readonly body: Body;
      /** A file of this machine that should hold the bytes, and their digest: whoever can copies it instead. */
      readonly source?: FileSource;
      readonly mode?: number;
      readonly mtime?: bigint;
    }
  | { readonly type: "directory"; readonly path: string; readonly mode?: number; readonly mtime?: bigint };

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface FileSource {
  readonly file: string;
  readonly digest: Digest;
}

/** A part of a tar: bytes, or a file whose bytes stand there. */
export type TarPart = Uint8Array | FilePart;

export interface FilePart extends FileSource {
  /** Bytes. */
  readonly size: number;
  /** The same bytes, verified. */
  readonly body: Body;
}

/**
 * Writes an uncompressed tar of members, in the order given, as parts. Any number of bytes a member, none is kept.
 * Ends with an error where a body has not the size that was said.
 */
export async function* tarParts(members: AsyncIterable<NewMember> | Iterable<NewMember>): AsyncGenerator<TarPart> {
  for await (const member of members) {
    yield Buffer.from(encodeHeader(toEntry(member)));
    if (member.type !== "file") continue;
    const { source, size } = member;
    if (source === undefined) yield* checkBody(member);
    else yield { ...source, size, body: checkBody(member) };
    yield Buffer.alloc(paddedLength(size) - size);
  }
  yield Buffer.alloc(2 * blockLength);
}

/** The bytes of parts, as chunks. */
export async function* chunksOf(parts: AsyncIterable<TarPart>): AsyncGenerator<Buffer> {
  for await (const part of parts) {
    if (part instanceof Uint8Array) yield asBuffer(part);
    else for await (const chunk of part.body) yield asBuffer(chunk);
  }
}

/** A tar of members as chunks, as above. */
export function writeTar(members: AsyncIterable<NewMember> | Iterable<NewMember>): AsyncGenerator<Buffer> {
  return chunksOf(tarParts(members));
}

async function* checkBody({ body, size, path }: Extract<NewMember, { type: "file" }>): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > size) break;
    yield asBuffer(chunk);
  }
  if (length !== size) throw new Error(`Cannot write "${path}": its body has not ${size} bytes`);
}

function asBuffer({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}

function toEntry(member: NewMember): Entry {
  const isFile = member.type === "file";
  return {
    path: member.path,
    type: member.type,
    mode: member.mode ?? (isFile ? 0o644 : 0o755),
    uid: 0,
    gid: 0,
    size: isFile ? member.size : 0,
    mtime: member.mtime ?? 0n,
  };
}
