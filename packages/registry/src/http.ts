import { setTimeout } from "node:timers/promises";
import { RegistryError } from "./errors.ts";

/** How often and how long a request is tried again. */
const TRIES = 5;
const FIRST_WAIT = 250;
const MOST_WAIT = 5_000;
/** No answer's head within this time: milliseconds. */
const HEAD_TIMEOUT = 30_000;
const RETRIED = new Set([408, 429, 500, 502, 503, 504]);
/** Who refuses a connection will not be there a moment later, most of the time. */
const REFUSED_TRIES = 3;
const MOST_REDIRECTS = 10;

export interface HttpRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestInit["body"];
  /** The body can be sent once only. */
  readonly once?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends a request: tries again after faults that pass, with growing waits or as Retry-After says; follows redirects,
 * and sends no `Authorization` to another host.
 * @throws RegistryError `UNREACHABLE`, or the signal's reason.
 */
export async function sendRequest(url: string, request: HttpRequest): Promise<Response> {
  for (let attempt = 1; ; attempt += 1) {
    request.signal?.throwIfAborted();
    const outcome = await follow(url, request).catch((error: unknown) => ({ error }));
    const last = request.once === true || attempt >= triesFor(outcome);
    if ("error" in outcome) {
      request.signal?.throwIfAborted();
      if (last) throw unreachable(url, outcome.error);
    } else if (last || !RETRIED.has(outcome.status)) return outcome;
    const wait = "error" in outcome ? undefined : retryAfter(outcome);
    if (!("error" in outcome)) await outcome.body?.cancel();
    await setTimeout(wait ?? backOff(attempt), undefined, { signal: request.signal });
  }
}

function triesFor(outcome: Response | { readonly error: unknown }): number {
  return "error" in outcome && codeOf(outcome.error) === "ECONNREFUSED" ? REFUSED_TRIES : TRIES;
}

function backOff(attempt: number): number {
  const most = Math.min(MOST_WAIT, FIRST_WAIT * 2 ** (attempt - 1));
  return most / 2 + Math.random() * (most / 2);
}

function retryAfter(response: Response): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(0, seconds * 1000), MOST_WAIT * 2);
}

async function follow(url: string, request: HttpRequest): Promise<Response> {
  let current = url;
  let headers: Record<string, string> = { ...request.headers };
  for (let hops = 0; hops <= MOST_REDIRECTS; hops += 1) {
    const response = await sendOnce(current, { ...request, headers });
    const location = response.headers.get("location");
    const isRedirect = [301, 302, 303, 307, 308].includes(response.status) && location !== null;
    if (!isRedirect || request.once === true) return response;
    await response.body?.cancel();
    const next = new URL(location, current);
    if (next.host !== new URL(current).host)
      headers = Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"));
    current = next.href;
  }
  throw new RegistryError("PROTOCOL", `Cannot fetch "${redact(url)}": more than ${MOST_REDIRECTS} redirects`);
}

async function sendOnce(url: string, { method, headers, body, signal }: HttpRequest): Promise<Response> {
  const head = new AbortController();
  const timer =
    body === undefined
      ? globalThis.setTimeout(() => head.abort(new Error(`no answer within ${HEAD_TIMEOUT / 1000} s`)), HEAD_TIMEOUT)
      : undefined;
  const signals = [head.signal, ...(signal === undefined ? [] : [signal])];
  try {
    return await fetch(url, {
      method: method ?? "GET",
      headers: { "user-agent": "varve", ...headers },
      redirect: "manual",
      signal: AbortSignal.any(signals),
      ...(body === undefined ? {} : { body, duplex: "half" }),
    });
  } finally {
    clearTimeout(timer);
  }
}

function codeOf(error: unknown): string | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    const code = (each as NodeJS.ErrnoException).code;
    if (code !== undefined) return code;
    if (each instanceof AggregateError && each.errors.length > 0) return codeOf(each.errors[0]);
  }
  return undefined;
}

function unreachable(url: string, cause: unknown): RegistryError {
  const reason = codeOf(cause) ?? (cause instanceof Error ? cause.message : String(cause));
  return new RegistryError("UNREACHABLE", `Cannot reach "${redact(url)}": ${reason}`, {
    cause,
    hint: "Check the registry's name, that it runs, and the network",
  });
}

/** A URL without what could be a secret. */
export function redact(url: string): string {
  if (!URL.canParse(url)) return url;
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}
