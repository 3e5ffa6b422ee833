import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { StepError } from "../errors.ts";
import { dockerHost } from "./docker-host.ts";

interface Answer {
  readonly status: number;
  readonly body: string;
}

/**
 * Hands a docker archive to the Docker daemon that the docker command line would use, over its unix socket or plain
 * TCP: Engine API, ImageLoad.
 * @throws StepError `EXPORT_FAILED`; what made the archive fail is passed on.
 */
export async function loadIntoDocker(archive: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  const host = await dockerHost();
  const failed = failureAt(`Cannot load the image into Docker at "${host}"`);
  const { status, body } = await post(archive, connectionTo(host, failed), signal).catch((cause: unknown) => {
    throw explainFailure(cause, failed);
  });
  const error = errorIn(body);
  if (status !== 200 || error !== undefined)
    throw failed(error ?? `it answered ${status}: ${body.trim().slice(0, 200)}`);
}

/**
 * What `docker save NAME` of that daemon gives, as chunks: Engine API, ImageGet. Undefined where it has no such image.
 * @throws StepError `EXPORT_FAILED` where it can't be asked.
 */
export async function saveFromDocker(
  name: string,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const host = await dockerHost();
  const failed = failureAt(`Cannot take image "${name}" from Docker at "${host}"`);
  const place = connectionTo(host, failed);
  const { request } = await loadHttp();
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const call = request({ ...place, path: `/images/${encodeURIComponent(name)}/get`, signal });
    call.once("error", reject).once("response", resolve).end();
  }).catch((cause: unknown) => {
    throw explainFailure(cause, failed);
  });
  if (answer.statusCode === 200) return answer as AsyncIterable<Uint8Array>;
  const body = await readBody(answer);
  if (answer.statusCode === 404) return undefined;
  throw failed(errorIn(body) ?? `it answered ${answer.statusCode}`);
}

/** Not before it is needed: it brings 50 modules of Node's along. */
function loadHttp(): Promise<typeof import("node:http")> {
  return import("node:http");
}

/** Milliseconds in which a daemon that works answers. */
const PING_TIMEOUT = 2000;

/** Why the daemon that the docker command line would use can't be asked; undefined where it answers. */
export async function pingDocker(): Promise<string | undefined> {
  try {
    const place = connectionTo(await dockerHost(), reasonAlone);
    const { request } = await loadHttp();
    const status = await new Promise<number>((resolve, reject) => {
      const call = request({ ...place, path: "/_ping", timeout: PING_TIMEOUT });
      call.once("timeout", () => call.destroy(reasonAlone("it does not answer")));
      call.once("error", reject);
      call.once("response", (answer) => resolve(answer.resume().statusCode ?? 0));
      call.end();
    });
    return status === 200 ? undefined : `it answered ${status}`;
  } catch (cause) {
    return (explainFailure(cause, reasonAlone) as Error).message;
  }
}

function reasonAlone(reason: string): StepError {
  return new StepError("EXPORT_FAILED", reason);
}

type Failure = (reason: string, cause?: unknown) => StepError;

function failureAt(what: string): Failure {
  return (reason, cause) =>
    new StepError("EXPORT_FAILED", `${what}: ${reason}`, {
      cause,
      hint: "Start Docker, set DOCKER_HOST, or use an archive instead",
    });
}

/** An error of the connection in words; any other as it is. */
function explainFailure(cause: unknown, failed: Failure): unknown {
  const { code, syscall } = cause as NodeJS.ErrnoException;
  return code === undefined || syscall === undefined ? cause : failed(explain(code), cause);
}

type Connection = { readonly socketPath: string } | { readonly host: string; readonly port: string };

function connectionTo(host: string, failed: Failure): Connection {
  if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) };
  const isSecure = (process.env["DOCKER_TLS_VERIFY"] ?? "") !== "";
  if (!/^(?:tcp|http):\/\//.test(host) || isSecure) throw failed("varve speaks to unix:// and plain tcp:// only");
  const { hostname, port } = new URL(host.replace(/^tcp/, "http"));
  return { host: hostname, port: port === "" ? "2375" : port };
}

/** The answer may come before the archive is sent: a daemon that refuses it reads no further. */
async function post(archive: AsyncIterable<Uint8Array>, place: Connection, signal: AbortSignal): Promise<Answer> {
  const { request } = await loadHttp();
  const call = request({
    ...place,
    method: "POST",
    path: "/images/load?quiet=1",
    headers: { "content-type": "application/x-tar" },
    signal,
  });
  const answered = new Promise<Answer>((resolve, reject) => {
    call.once("error", reject);
    call.once("response", (response) => {
      readBody(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
  });
  answered.catch(() => undefined);
  const sent = pipeline(Readable.from(archive, { objectMode: false }), call);
  const outcome = Promise.race([answered, sent.then(() => answered)]);
  const answer = await outcome.catch((cause: unknown) => afterBreak(answered, cause));
  call.destroy();
  await sent.catch(() => undefined);
  return answer;
}

/** Where sending broke off, an answer that is already there says why. */
async function afterBreak(answered: Promise<Answer>, cause: unknown): Promise<Answer> {
  const { code } = cause as NodeJS.ErrnoException;
  if (code !== "EPIPE" && code !== "ECONNRESET") throw cause;
  return answered.catch(() => {
    throw cause;
  });
}

async function readBody(response: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function explain(code: string): string {
  switch (code) {
    case "ENOENT":
      return "there is no such socket";
    case "EACCES":
      return "this user may not use the socket";
    default:
      return code;
  }
}

/** The daemon answers with JSON objects, one a line; failures come after status 200 too. */
function errorIn(body: string): string | undefined {
  for (const line of body.split("\n")) {
    try {
      const { error, message } = JSON.parse(line) as { readonly error?: unknown; readonly message?: unknown };
      const text = error ?? message;
      if (typeof text === "string") return text;
    } catch {
      // Not JSON: nothing to learn.
    }
  }
  return undefined;
}
