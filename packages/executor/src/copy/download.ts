import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createDigester, type Digest } from "@varve/oci";
import type { Entry } from "@varve/layer";
import { StepError } from "../errors.ts";
import { hideQuery, hideUserinfo } from "../explain/hide-secrets.ts";
import type { BuildOptions } from "../session.ts";

/** A file that was fetched for ADD. */
export interface Download {
  readonly path: string;
  readonly entry: Entry;
  /** What it is called in a destination directory. */
  readonly name: string;
  readonly digest: Digest;
}

export type DownloadOptions = Pick<BuildOptions, "signal" | "onEvent"> & {
  /** Gives an empty directory. */
  readonly makeScratch: () => Promise<string>;
  /** `sha256:…`; undefined: not checked. */
  readonly checksum?: string | undefined;
};

/** BuildKit gives what it downloads to its owner alone. */
const MODE = 0o600;
const UNNAMED = "__unnamed__";

/**
 * Fetches `url` (http or https) into a new directory. Dated by Last-Modified or else 1970, named by the last part
 * of the URL's path.
 * @throws StepError `DOWNLOAD_FAILED`; `CHECKSUM_MISMATCH` where the content is not the one asked for.
 */
export async function downloadFile(url: string, options: DownloadOptions): Promise<Download> {
  const response = await request(url, options.signal);
  const path = join(await options.makeScratch(), "download");
  const { digest, size } = await save(response, { ...options, url, path });
  if (options.checksum !== undefined && options.checksum !== digest) {
    throw new StepError(
      "CHECKSUM_MISMATCH",
      `Cannot use "${url}": digest mismatch, the content is ${digest}; wanted ${options.checksum}`,
      {
        hint: "Check the source, then write the new digest after --checksum=",
      },
    );
  }
  const modified = Date.parse(response.headers.get("last-modified") ?? "");
  const mtime = Number.isNaN(modified) ? 0n : BigInt(modified) * 1_000_000n;
  const name = fileName(url);
  return {
    path,
    name,
    digest,
    entry: { path: name, type: "file", mode: MODE, uid: 0, gid: 0, size, mtime, digest, content: { path } },
  };
}

/** As BuildKit has it: the last name of the path, its escapes replaced; a URL that can't be read gives none. */
export function fileName(url: string): string {
  try {
    const path = decodeURIComponent(new URL(url).pathname).replace(/\/+$/, "");
    return path.slice(path.lastIndexOf("/") + 1) || UNNAMED;
  } catch {
    return UNNAMED;
  }
}

async function request(url: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal, headers: { "accept-encoding": "identity", "user-agent": "varve" } });
  } catch (cause) {
    throw new StepError("DOWNLOAD_FAILED", `Cannot download "${url}": ${reasonOf(cause)}`, {
      cause,
      hint: "Check the URL and the network",
    });
  }
  if (response.ok && response.body !== null) return response;
  await response.body?.cancel();
  throw new StepError(
    "DOWNLOAD_FAILED",
    `Cannot download "${url}": the server answered ${response.status} ${response.statusText}`,
  );
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return inner instanceof Error ? inner.message : String(inner);
}

type SaveOptions = DownloadOptions & { readonly url: string; readonly path: string };

async function save(
  response: Response,
  { url, path, onEvent, signal }: SaveOptions,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const digester = createDigester();
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  const transfer = {
    type: "transfer",
    direction: "download",
    name: hideQuery(hideUserinfo(url)),
    total: Number.isNaN(length) ? undefined : length,
  } as const;
  let size = 0;
  const body = Readable.fromWeb(response.body as import("node:stream/web").ReadableStream);
  try {
    await pipeline(
      body,
      async function* count(chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          digester.update(chunk);
          size += chunk.length;
          onEvent({ ...transfer, current: size, done: false });
          yield chunk;
        }
      },
      createWriteStream(path),
      { signal },
    );
  } catch (cause) {
    throw new StepError("DOWNLOAD_FAILED", `Cannot download "${url}": ${reasonOf(cause)}`, { cause });
  }
  onEvent({ ...transfer, current: size, done: true });
  return { digest: digester.digest(), size };
}
