import { setTimeout } from "node:timers/promises";
import { sendContent } from "@varve/oci";
import { CacheError } from "../errors.ts";
import { PROTOCOL_PATH } from "./protocol.ts";

/** How a cache server is reached. */
export interface Server {
  /** Where it answers, such as `https://cache.example.com`; a path before the protocol's is kept. */
  readonly url: string;
  /** Gives the token for a request; undefined: none is sent. */
  readonly token: () => Promise<string | undefined>;
}

export interface ServerRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Makes the body anew for every try; a chunk is done with when the next is asked for. */
  readonly body?: () => AsyncIterable<Uint8Array>;
  /** Milliseconds until an answer must begin, or since a piece of the body was last taken. */
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
  /** Statuses beyond 2xx that are answers and not failures. */
  readonly accept?: readonly number[];
}

/** Thrown where a cache server can't be reached or refuses. */
export class ServerFailure extends CacheError {
  /** HTTP status; undefined where there was no answer. */
  readonly status: number | undefined;

  constructor(
    message: string,
    options: { readonly status?: number; readonly late?: boolean; readonly hint?: string; readonly cause?: unknown },
  ) {
    super(options.late === true ? "REMOTE_TIMEOUT" : "REMOTE_FAILED", message, options);
    this.status = options.status;
  }
}

const TIMEOUT = 10_000;
/** How often a request is sent, and the longest waits between: milliseconds. */
const TRIES = 3;
const WAITS = [100, 400];
/** Statuses that may pass within a moment. */
const PASSING = new Set([429, 502, 503, 504]);
/** Bytes of an answer that are read. */
const MAX_JSON = 64 * 1024 * 1024;
const MAX_ERROR = 64 * 1024;

/**
 * Sends a request to a cache server; again after faults that pass, with waits of which half is chance.
 * @throws ServerFailure for all statuses but 2xx and those of `accept`; the signal's reason.
 */
export async function sendToServer(server: Server, path: string, request: ServerRequest = {}): Promise<Response> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await sendOnce(server, path, request);
    if (outcome instanceof Response) {
      if (outcome.ok || request.accept?.includes(outcome.status) === true) return outcome;
      if (attempt === TRIES || !PASSING.has(outcome.status)) throw await refused(server, path, outcome);
      await outcome.body?.cancel();
    } else if (attempt === TRIES || outcome.code === "REMOTE_TIMEOUT") throw outcome;
    await pause(attempt, request.signal);
  }
}

/** The JSON of an answer. @throws ServerFailure where it is none, or too long. */
export async function readJson(response: Response, limit: number = MAX_JSON): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyOf(response)) {
    size += chunk.length;
    if (size > limit) throw new ServerFailure(`Cannot read "${response.url}": its answer is too long`, {});
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    throw new ServerFailure(`Cannot read "${response.url}": its answer is no JSON`, { cause });
  }
}

/** The body of an answer, ended with an error where nothing comes for so many milliseconds. */
export async function* bodyOf(response: Response, timeout: number = TIMEOUT): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await within(reader.read(), timeout);
      if (done) return;
      yield value;
    }
  } catch (cause) {
    throw cause instanceof CacheError ? cause : unreachable(response.url, cause);
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

async function within<T>(task: Promise<T>, timeout: number): Promise<T> {
  const stop = new AbortController();
  const late = setTimeout(timeout, undefined, { signal: stop.signal }).then(
    () => {
      throw new ServerFailure(`Cannot go on reading: nothing came for ${timeout / 1000} s`, { late: true });
    },
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([task, late]);
  } finally {
    stop.abort();
  }
}

async function sendOnce(server: Server, path: string, request: ServerRequest): Promise<Response | ServerFailure> {
  const { timeout = TIMEOUT, signal } = request;
  signal?.throwIfAborted();
  const url = `${server.url.replace(/\/+$/, "")}${PROTOCOL_PATH}${path}`;
  const late = new AbortController();
  const onLate = (): void =>
    late.abort(new ServerFailure(`Cannot reach "${url}": no answer in ${timeout / 1000} s`, { late: true }));
  const timer = globalThis.setTimeout(onLate, timeout);
  try {
    const common = {
      method: request.method ?? "GET",
      headers: await headersFor(server, request),
      signal: AbortSignal.any([late.signal, ...(signal === undefined ? [] : [signal])]),
    };
    const content = request.body?.();
    if (content !== undefined)
      return await sendContent(url, { ...common, content: tellTaken(content, () => void timer.refresh()) });
    const body = request.json === undefined ? {} : { body: JSON.stringify(request.json) };
    return await fetch(url, { ...common, redirect: "error", ...body });
  } catch (cause) {
    signal?.throwIfAborted();
    return late.signal.aborted ? (late.signal.reason as ServerFailure) : unreachable(url, cause);
  } finally {
    clearTimeout(timer);
  }
}

async function headersFor(server: Server, { headers, json }: ServerRequest): Promise<Readonly<Record<string, string>>> {
  const token = await server.token();
  return {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(json === undefined ? {} : { "content-type": "application/json" }),
    ...headers,
  };
}

async function* tellTaken(body: AsyncIterable<Uint8Array>, onTaken: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    onTaken();
    yield chunk;
  }
  onTaken();
}

function unreachable(url: string, cause: unknown): ServerFailure {
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const code = (reason as NodeJS.ErrnoException | undefined)?.code;
  const words = code ?? (reason instanceof Error ? reason.message : String(reason));
  return new ServerFailure(`Cannot reach "${url}": ${words}`, { cause });
}

async function refused(server: Server, path: string, response: Response): Promise<ServerFailure> {
  const { status } = response;
  const told = await readJson(response, MAX_ERROR).catch(() => undefined);
  const { error } = (told ?? {}) as { readonly error?: { readonly message?: unknown; readonly hint?: unknown } };
  const message = typeof error?.message === "string" ? error.message : `status ${status}`;
  const hint = typeof error?.hint === "string" ? error.hint : hintFor(status);
  return new ServerFailure(`Cannot use "${server.url}${PROTOCOL_PATH}${path.split("?")[0]}": ${message} (${status})`, {
    status,
    ...(hint === undefined ? {} : { hint }),
  });
}

function hintFor(status: number): string | undefined {
  return status === 401 ? "Give the server's token in VARVE_CACHE_TOKEN" : undefined;
}

async function pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
  const most = WAITS[attempt - 1] ?? 400;
  await setTimeout(most / 2 + (Math.random() * most) / 2, undefined, { signal });
}
