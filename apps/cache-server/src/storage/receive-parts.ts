import type { FileHandle } from "node:fs/promises";
import type { UploadPart } from "@varve/cache";
import { createDigester } from "@varve/oci";
import { ServerError } from "../errors.ts";
import { createFileSink } from "./file-sink.ts";
import { digestMismatch } from "./receive-file.ts";

/** A part that is about to come. */
export interface ExpectedPart extends UploadPart {
  readonly position: number;
  /** In the upload's file. */
  readonly offset: number;
}

/**
 * Writes parts that come one after the other where they belong; `onPart` is told of each whose digest is right.
 * @throws ServerError `DIGEST_MISMATCH` at the first part that is not; `SIZE_MISMATCH` where bytes are missing or left.
 */
export async function receiveParts(
  file: FileHandle,
  content: AsyncIterable<Uint8Array>,
  { parts, onPart }: { readonly parts: readonly ExpectedPart[]; readonly onPart: (position: number) => void },
): Promise<void> {
  const left = [...parts];
  let part = left.shift();
  let digester = createDigester();
  let done = 0;
  let sink = createFileSink(file, part?.offset ?? 0);
  for await (const chunk of content) {
    for (let start = 0; start < chunk.length;) {
      if (part === undefined)
        throw new ServerError("SIZE_MISMATCH", `Cannot store parts: more bytes came than ${parts.length} parts have`);
      const bytes = chunk.subarray(start, start + part.size - done);
      digester.update(bytes);
      await sink.write(bytes);
      start += bytes.length;
      done += bytes.length;
      if (done < part.size) continue;
      const digest = digester.digest();
      if (digest !== part.digest) throw digestMismatch(`part ${part.position}, ${part.digest}`, digest);
      const end = part.offset + part.size;
      await sink.end();
      onPart(part.position);
      part = left.shift();
      if (part !== undefined && part.offset !== end) sink = createFileSink(file, part.offset);
      digester = createDigester();
      done = 0;
    }
  }
  if (part !== undefined)
    throw new ServerError("SIZE_MISMATCH", `Cannot store parts: the bytes ended within part ${part.position}`);
}
