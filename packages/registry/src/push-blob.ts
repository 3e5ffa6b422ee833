import { type Descriptor, verifyContent } from "@varve/oci";
import { RegistryError } from "./errors.ts";
import { readText } from "./http.ts";
import { createIdleTimer, type IdleTimer } from "./idle-timer.ts";
import type { Transport } from "./transport.ts";

/** After the last byte a registry may move all of them to where it keeps them: milliseconds. */
const COMMIT_LIMIT = 300_000;

export interface UploadRequest {
  readonly scopes: readonly string[];
  readonly signal: AbortSignal | undefined;
}

/** What a registry answered to the wish to mount a blob. */
export type Mounted = { readonly type: "mounted" } | { readonly type: "upload"; readonly location: string };

/**
 * Opens an upload, and gives the place to send it to. Distribution spec, "POST then PUT".
 * @throws RegistryError.
 */
export async function openUpload(transport: Transport, request: UploadRequest): Promise<string> {
  const response = await transport.send("/blobs/uploads/", { method: "POST", ...request });
  if (response.status !== 202)
    throw await transport.errorOf(response, { action: "start an upload", subject: "repository" });
  await readText(response);
  return locationOf(response, transport);
}

/**
 * Asks to take a blob over from another repository; where that can't be, an upload is open instead. Distribution
 * spec, "Mounting a blob from another repository". Undefined where the registry refuses even that.
 */
export async function mountBlob(
  transport: Transport,
  { digest, from, ...request }: UploadRequest & { readonly digest: string; readonly from: string },
): Promise<Mounted | undefined> {
  const query = new URLSearchParams({ mount: digest, from });
  const response = await transport.send(`/blobs/uploads/?${query.toString()}`, { method: "POST", ...request });
  await readText(response);
  if (response.status === 201) return { type: "mounted" };
  return response.status === 202 ? { type: "upload", location: locationOf(response, transport) } : undefined;
}

function locationOf(response: Response, { base, host }: Transport): string {
  const location = response.headers.get("location");
  if (location !== null && URL.canParse(location, response.url || base))
    return new URL(location, response.url || base).href;
  throw new RegistryError("PROTOCOL", `Cannot push to "${host}": its answer to an upload names no place`, {
    status: response.status,
    url: response.url,
  });
}

/**
 * Sends content to the upload at `location`, in one piece as it comes, and closes it.
 * @throws OciError `DIGEST_MISMATCH`, `SIZE_INVALID`; the content's error; RegistryError.
 */
export async function sendUpload(
  transport: Transport,
  location: string,
  {
    expected,
    content,
    ...request
  }: UploadRequest & { readonly expected: Descriptor; readonly content: AsyncIterable<Uint8Array> },
): Promise<void> {
  const url = new URL(location);
  url.searchParams.set("digest", expected.digest);
  const { signal } = request;
  using idle = createIdleTimer();
  const source: Source = { error: undefined };
  try {
    const response = await transport.send(url.href, {
      method: "PUT",
      headers: { "content-type": "application/octet-stream", "content-length": String(expected.size) },
      body: watch(verifyContent(expected, content), idle, source),
      timeout: 0,
      scopes: request.scopes,
      signal: AbortSignal.any([idle.signal, ...(signal === undefined ? [] : [signal])]),
    });
    if (!response.ok)
      throw await transport.errorOf(response, { action: `push "${expected.digest}"`, subject: "upload" });
    await readText(response);
  } catch (error) {
    signal?.throwIfAborted();
    throw source.error === undefined ? error : source.error.value;
  }
}

/** What went wrong on the side of the content, if anything. */
interface Source {
  error: { readonly value: unknown } | undefined;
}

/** Runs the clock while the registry is to take bytes, not while there are none to take. */
async function* watch(content: AsyncIterable<Uint8Array>, idle: IdleTimer, source: Source): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of content) {
      idle.start();
      yield chunk;
      idle.stop();
    }
  } catch (value) {
    source.error = { value };
    throw value;
  }
  idle.start(COMMIT_LIMIT);
}
