import { open } from "node:fs/promises";
import { createDigester, type Digest } from "@varve/oci";
import { explainWriteError, ServerError } from "../errors.ts";
import { createFileSink } from "./file-sink.ts";

/**
 * Writes `content` into the new file `path`, synced, while its digest is made; a file that was not completed is left for
 * the caller to remove.
 * @throws ServerError `SIZE_MISMATCH`, `DIGEST_MISMATCH`, `STORAGE_FULL`.
 */
export async function receiveFile(
  path: string,
  content: AsyncIterable<Uint8Array>,
  expected: { readonly digest: Digest; readonly size: number },
): Promise<void> {
  const file = await open(path, "wx", 0o644);
  try {
    const digester = createDigester();
    const sink = createFileSink(file, 0);
    let size = 0;
    for await (const chunk of content) {
      if (size + chunk.length > expected.size) throw sizeMismatch(expected, "more");
      digester.update(chunk);
      await sink.write(chunk);
      size += chunk.length;
    }
    if (size < expected.size) throw sizeMismatch(expected, `only ${size}`);
    const digest = digester.digest();
    if (digest !== expected.digest) throw digestMismatch(expected.digest, digest);
    await sink.end();
    await file.datasync();
  } catch (error) {
    throw explainWriteError(error);
  } finally {
    await file.close();
  }
}

function sizeMismatch(
  { digest, size }: { readonly digest: Digest; readonly size: number },
  found: string,
): ServerError {
  return new ServerError("SIZE_MISMATCH", `Cannot store "${digest}": ${found} bytes came; wanted ${size}`);
}

/** For bytes that have another digest than they should. */
export function digestMismatch(expected: string, found: Digest): ServerError {
  return new ServerError("DIGEST_MISMATCH", `Cannot store "${expected}": its bytes have the digest ${found}`);
}
