import type { IncomingMessage } from "node:http";
import { chunksOf, type TarPart } from "@varve/layer";
import { sendContent } from "@varve/oci";
import { StepError } from "../errors.ts";
import { dockerHost } from "./docker-host.ts";

/**
 * Hands a docker archive to the Docker daemon that the docker command line would use, over its unix socket or plain
 * TCP: Engine API, ImageLoad. A part is done with when the next is asked for.
 * @throws StepError `EXPORT_FAILED`; what made the archive fail is passed on.
 */
export async function loadIntoDocker(archive: AsyncIterable<TarPart>, signal: AbortSignal): Promise<void> {
  const host = await dockerHost();
  const failed = failureAt(`Cannot load the image into Docker at "${host}"`);
  const place = connectionTo(host, failed);
  const isSocket = "socketPath" in place;
  const url = `http://${isSocket ? "localhost" : `${place.host}:${place.port}`}/images/load?quiet=1`;
  const response = await sendContent(url, {
    method: "POST",
    headers: { "content-type": "application/x-tar" },
    content: chunksOf(archive),
    signal,
    ...(isSocket ? place : {}),
  }).catch((cause: unknown) => {
    throw explainFailure(cause, failed);
  });
  const { status } = response;
  const body = await response.text();
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
