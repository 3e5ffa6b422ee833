import type { ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import type { ByteRange } from "./parse-range.ts";
import type { OpenBlob } from "./storage/blobs.ts";

/** Bytes that are read at a time; two such buffers serve a request, and the next ones after it. */
const BUFFER_SIZE = 256 * 1024;
const MAX_SPARE = 64;
const spare: Buffer[] = [];

/**
 * Answers with these ranges of a blob, one after the other, and closes it. Each buffer is filled again as soon as the
 * kernel has taken it: a stream would allocate as many bytes as it sends. Headers are set already. A client that goes
 * away ends it.
 */
export async function sendRanges(
  reply: FastifyReply,
  blob: OpenBlob,
  ranges: readonly ByteRange[],
): Promise<FastifyReply> {
  reply.hijack();
  const { raw } = reply;
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(reply.statusCode);
  const writer = createWriter(raw);
  const buffers = [takeBuffer(), takeBuffer()] as const;
  const written: Promise<void>[] = [];
  try {
    let turn: 0 | 1 = 0;
    for (const { start, end } of ranges) {
      for (let position = start; position < end;) {
        const buffer = buffers[turn];
        await written[turn];
        const { bytesRead } = await blob.file.read(buffer, 0, Math.min(buffer.length, end - position), position);
        if (bytesRead === 0) throw new Error("a blob's file became shorter while it was read");
        written[turn] = writer.write(buffer.subarray(0, bytesRead));
        position += bytesRead;
        turn = turn === 0 ? 1 : 0;
      }
    }
    await Promise.all(written);
    raw.end();
    spare.push(...buffers.slice(0, Math.max(0, MAX_SPARE - spare.length)));
  } catch (error) {
    reply.request.log.debug({ err: error }, "a blob was not sent to its end");
    raw.destroy();
  } finally {
    await blob[Symbol.asyncDispose]();
  }
  return reply;
}

function takeBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_SIZE);
}

/** Writes whose promises settle even where the connection is closed before they are on their way. */
function createWriter(raw: ServerResponse): { write(chunk: Uint8Array): Promise<void> } {
  const waiting = new Set<(error: Error) => void>();
  raw.once("close", () => {
    for (const reject of waiting) reject(new Error("the client went away"));
  });
  return {
    write(chunk) {
      const done = new Promise<void>((resolve, reject) => {
        if (raw.destroyed) return reject(new Error("the client went away"));
        waiting.add(reject);
        raw.write(chunk, (error) => {
          waiting.delete(reject);
          if (error === null || error === undefined) resolve();
          else reject(error);
        });
      });
      // It is awaited when its buffer's turn comes; until then its failure is no one's.
      done.catch(() => undefined);
      return done;
    },
  };
}
