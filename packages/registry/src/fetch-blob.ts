import { createSemaphore, type Descriptor, type Semaphore } from "@varve/oci";
import { connectionError } from "./connection-error.ts";
import { RegistryError } from "./errors.ts";
import { backOff, pause, readText } from "./http.ts";
import { createIdleTimer } from "./idle-timer.ts";
import type { Transport } from "./transport.ts";

/** How often in a row a body of the registry itself may break off without having brought anything new. */
const FRUITLESS = 4;
/** Downloads from one host at a time, in the whole process: more is not faster, and registries count. */
const DOWNLOADS_PER_HOST = 4;
const downloads = new Map<string, Semaphore>();

export interface BlobRequest {
  readonly descriptor: Descriptor;
  /** Below the repository's own. */
  readonly path: string;
  readonly accept: string;
  readonly scopes: readonly string[];
  readonly signal: AbortSignal;
}

/** How far a download came. */
interface Progress {
  received: number;
}

/**
 * The content at `path`, not verified, from the first of `sources` that has it. A body that breaks off is taken up
 * where it did, by Range (RFC 9110, section 14), from the same source or else the next.
 * @throws what the last of the sources did.
 */
export async function* fetchBlob(sources: readonly Transport[], request: BlobRequest): AsyncGenerator<Uint8Array> {
  const progress: Progress = { received: 0 };
  for (const [position, source] of sources.entries()) {
    const isLast = position === sources.length - 1;
    try {
      yield* fetchFrom(source, request, { progress, patience: isLast ? FRUITLESS : 0 });
      return;
    } catch (error) {
      request.signal.throwIfAborted();
      if (isLast) throw error;
    }
  }
}

async function* fetchFrom(
  source: Transport,
  request: BlobRequest,
  { progress, patience }: { readonly progress: Progress; readonly patience: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { size } = request.descriptor;
  for (let fruitless = 0; ;) {
    const before = progress.received;
    const broken = yield* fetchRest(source, request, progress);
    if (progress.received >= size || broken === "nothing more") return;
    fruitless = progress.received > before ? 0 : fruitless + 1;
    if (fruitless > patience) throw brokenOff(source, request, { progress, cause: broken });
    if (fruitless > 0) await pause(backOff(fruitless), request.signal);
  }
}

/** Reads what is still missing, as far as one answer brings it; gives what broke it off, if anything. */
async function* fetchRest(
  source: Transport,
  request: BlobRequest,
  progress: Progress,
): AsyncGenerator<Uint8Array, unknown, undefined> {
  const { signal } = request;
  const release = await semaphoreOf(source.host).acquire();
  using idle = createIdleTimer();
  try {
    signal.throwIfAborted();
    const response = await ask(source, { ...request, signal: AbortSignal.any([signal, idle.signal]) }, progress);
    if (response === undefined) return "nothing more";
    let skip = response.status === 206 ? 0 : progress.received;
    idle.start();
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      idle.stop();
      const fresh = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - fresh.length;
      progress.received += fresh.length;
      if (fresh.length > 0) yield fresh;
      idle.start();
    }
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RegistryError) throw error;
    return idle.signal.aborted ? idle.signal.reason : error;
  } finally {
    release();
  }
}

/** The answer that brings the rest; undefined where the source has no more than was received. */
async function ask(source: Transport, request: BlobRequest, { received }: Progress): Promise<Response | undefined> {
  const { descriptor, path, accept, scopes, signal } = request;
  const range: Record<string, string> = received === 0 ? {} : { range: `bytes=${received}-` };
  const headers = { accept, "accept-encoding": "identity", ...range };
  const response = await source.send(path, { headers, scopes, signal });
  if (response.status === 416 && received > 0) {
    await readText(response);
    return undefined;
  }
  const subject = path.startsWith("/manifests/") ? "manifest" : "blob";
  if (!response.ok) throw await source.errorOf(response, { action: `fetch "${descriptor.digest}"`, subject });
  if (response.status !== 206 || startOf(response) === received) return response;
  await response.body?.cancel();
  throw new RegistryError(
    "PROTOCOL",
    `Cannot fetch "${descriptor.digest}": the registry answered with another range than from ${received} on`,
    { status: response.status, url: response.url },
  );
}

function startOf(response: Response): number {
  return Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? Number.NaN);
}

function semaphoreOf(host: string): Semaphore {
  const known = downloads.get(host) ?? createSemaphore(DOWNLOADS_PER_HOST);
  downloads.set(host, known);
  return known;
}

interface Break {
  readonly progress: Progress;
  readonly cause: unknown;
}

function brokenOff(
  { base, host }: Transport,
  { descriptor, path }: BlobRequest,
  { progress, cause }: Break,
): RegistryError {
  const { message } = connectionError(`${base}${path}`, cause ?? new Error("the connection was closed"));
  return new RegistryError(
    "UNREACHABLE",
    `Cannot fetch "${descriptor.digest}" from "${host}": the transfer broke off after ${progress.received} of ${descriptor.size} bytes, again and again: ${message}`,
    { url: `${base}${path}`, cause, retryable: true, hint: "Check the network, then try again" },
  );
}
