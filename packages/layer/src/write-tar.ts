import type { Entry } from "./entry.ts";
import { blockLength, encodeHeader, paddedLength } from "./write-header.ts";

/** A member to be written: a path as `Entry.path`, and for a file its bytes. Owner 0:0 and time 0 where nothing is said. */
export type NewMember =
  | {
      readonly type: "file";
      readonly path: string;
      readonly size: number;
      readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
      readonly mode?: number;
      readonly mtime?: bigint;
    }
  | { readonly type: "directory"; readonly path: string; readonly mode?: number; readonly mtime?: bigint };

/**
 * Writes an uncompressed tar of members, in the order given, as chunks. Any number of bytes a member, none is kept.
 * Ends with an error where a body has not the size that was said.
 */
export async function* writeTar(members: AsyncIterable<NewMember> | Iterable<NewMember>): AsyncGenerator<Buffer> {
  for await (const member of members) {
    yield Buffer.from(encodeHeader(toEntry(member)));
    if (member.type === "file") yield* writeBody(member);
  }
  yield Buffer.alloc(2 * blockLength);
}

async function* writeBody(member: Extract<NewMember, { type: "file" }>): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const chunk of member.body) {
    length += chunk.length;
    if (length > member.size) break;
    yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
  }
  if (length !== member.size) throw new Error(`Cannot write "${member.path}": its body has not ${member.size} bytes`);
  yield Buffer.alloc(paddedLength(length) - length);
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
