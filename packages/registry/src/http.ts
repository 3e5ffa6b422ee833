import { setTimeout } from "node:timers/promises";
import { type ContentRequest, sendContent } from "@varve/oci";
import { codeOfFailure, connectionError, isTlsFailure } from "./connection-error.ts";
import { RegistryError, redactUrl } from "./errors.ts";

export interface HttpRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Content can be sent once only: neither again after a fault, nor to where a redirect leads. */
  readonly body?: string | Buffer | AsyncIterable<Uint8Array>;
  /** How often it may be sent; left out: as often as the fault is worth. */
  readonly tries?: number;
  /** Milliseconds until the head of an answer must be there; 30,000 where it is left out, 0 for no limit. */
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Statuses that pass: RFC 9110 and distribution's clients agree on these. */
const PASSING = new Set([408, 429, 500, 502, 503, 504]);
const TRIES = 5;
/** Faults that a moment does not mend, most of the time. */
const FEWER_TRIES: Readonly<Record<string, number>> = {
  ECONNREFUSED: 3,
  ENOTFOUND: 2,
  ETIMEDOUT: 2,
};
/** Waits in milliseconds: the first, the longest, and all of one request together. */
const FIRST_WAIT = 250;
const LONGEST_WAIT = 5_000;
const ALL_WAITS = 15_000;
const HEAD_TIMEOUT = 30_000;
const MOST_REDIRECTS = 10;

/** True for a status that the same request may not get a little later. */
export function isPassingStatus(status: number): boolean {
  return PASSING.has(status);
}

/**
 * Sends a request: again after faults that pass, with growing waits or as Retry-After says, 15 s in all; follows
 * redirects, with no `Authorization` and no body to another host. The answer may be of any status.
 * @throws RegistryError `UNREACHABLE`, `TLS_FAILED`, `PROTOCOL`; the signal's reason.
 */
export async function sendRequest(url: string, request: HttpRequest): Promise<Response> {
  const once = isContent(request.body);
  for (let attempt = 1, waited = 0; ; attempt += 1) {
    const outcome = await attemptOnce(url, request);
    const wait = waitFor(outcome, attempt);
    const last = once || attempt >= (request.tries ?? triesFor(outcome)) || waited + wait > ALL_WAITS;
    if (outcome instanceof Response) {
      if (last || !PASSING.has(outcome.status)) return outcome;
      await readText(outcome);
    } else if (last) throw outcome.error instanceof RegistryError ? outcome.error : connectionError(url, outcome.error);
    waited += wait;
    await pause(wait, request.signal);
  }
}

/** True for a body that can be sent once only. */
export function isContent(body: HttpRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && Symbol.asyncIterator in body;
}

interface Failure {
  readonly error: unknown;
}

async function attemptOnce(url: string, request: HttpRequest): Promise<Response | Failure> {
  request.signal?.throwIfAborted();
  try {
    return await follow(url, request);
  } catch (error) {
    request.signal?.throwIfAborted();
    return { error };
  }
}

function triesFor(outcome: Response | Failure): number {
  if (outcome instanceof Response) return TRIES;
  const code = codeOfFailure(outcome.error);
  if (outcome.error instanceof RegistryError || isTlsFailure(code)) return 1;
  return FEWER_TRIES[code ?? ""] ?? TRIES;
}

function waitFor(outcome: Response | Failure, attempt: number): number {
  return (outcome instanceof Response ? retryAfter(outcome) : undefined) ?? backOff(attempt);
}

/** Milliseconds to wait after a failed attempt, the first being 1: doubled each time, of which half by chance. */
export function backOff(attempt: number): number {
  const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1));
  return most / 2 + Math.random() * (most / 2);
}

/** Waits so many milliseconds, or throws the signal's reason. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function retryAfter(response: Response): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null) return undefined;
  const milliseconds = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}

async function follow(url: string, request: HttpRequest): Promise<Response> {
  let current = url;
  let { headers = {} } = request;
  for (let hops = 0; hops <= MOST_REDIRECTS; hops += 1) {
    const response = await sendOnce(current, { ...request, headers });
    const next = redirectOf(response, current);
    if (next === undefined || isContent(request.body)) return response;
    if (isElsewhere(current, next)) {
      if (request.body !== undefined) return response;
      headers = withoutAuthorization(headers);
    }
    await readText(response);
    current = next;
  }
  throw new RegistryError("PROTOCOL", `Cannot fetch "${redactUrl(url)}": more than ${MOST_REDIRECTS} redirects`, {
    url,
  });
}

function redirectOf(response: Response, url: string): string | undefined {
  const location = response.headers.get("location");
  if (location === null || ![301, 302, 303, 307, 308].includes(response.status)) return undefined;
  return URL.canParse(location, url) ? new URL(location, url).href : undefined;
}

/** True where what was meant for `from` must not be told to `to`. */
export function isElsewhere(from: string, to: string): boolean {
  const [source, target] = [new URL(from), new URL(to)];
  return source.host !== target.host || (source.protocol === "https:" && target.protocol !== "https:");
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"));
}

async function sendOnce(url: string, request: HttpRequest): Promise<Response> {
  const { method = "GET", headers, body, signal, timeout = HEAD_TIMEOUT } = request;
  const late = new AbortController();
  const timer = timeout === 0 ? undefined : globalThis.setTimeout(() => late.abort(timeoutError(timeout)), timeout);
  const common = {
    method,
    headers: { "user-agent": "varve", ...headers },
    signal: AbortSignal.any([late.signal, ...(signal === undefined ? [] : [signal])]),
  };
  try {
    return await sendContent(url, withBody(common, body));
  } finally {
    clearTimeout(timer);
  }
}

function withBody(common: Omit<ContentRequest, "content">, body: HttpRequest["body"]): ContentRequest {
  if (body === undefined) return common;
  if (isContent(body)) return { ...common, content: body };
  const bytes = Buffer.from(body);
  const headers = { ...common.headers, "content-length": String(bytes.length) };
  return { ...common, headers, content: single(bytes) };
}

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function timeoutError(milliseconds: number): Error {
  return Object.assign(new Error(`no answer within ${milliseconds / 1000} s`), { code: "ETIMEDOUT" });
}

/** What is read of an answer that is not content. */
const MOST_TEXT = 1024 * 1024;

/** The body of an answer, up to `limit` bytes; what does not arrive whole is left out. */
export async function readBytes(response: Response, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= limit) break;
  }
  return Buffer.concat(chunks).subarray(0, limit);
}

/** The body of an answer as text, to 1 MiB; empty where it breaks off. Frees the connection for the next request. */
export async function readText(response: Response): Promise<string> {
  const bytes = await readBytes(response, MOST_TEXT).catch(() => Buffer.alloc(0));
  return bytes.toString("utf8");
}
