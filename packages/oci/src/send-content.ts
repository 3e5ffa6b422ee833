import type { ClientRequest, IncomingMessage } from "node:http";

/** A request whose body, if it has one, is content. */
export interface ContentRequest {
  readonly method: string;
  /** With `content-length`, or the body is sent in chunks of its own. */
  readonly headers: Readonly<Record<string, string>>;
  /** Left out: no body. A chunk is done with when the next is asked for, which is once the system has it. */
  readonly content?: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  /** A unix socket to connect to, whatever host the URL names. */
  readonly socketPath?: string;
}

/** What is read of the body of an answer that is not streamed: bytes. */
const MOST_ANSWER = 1024 * 1024;
/** Until a connection stands: milliseconds, as `fetch` has it. */
const CONNECT_TIMEOUT = 10_000;
/** RFC 9110: answers with these have no body. */
const WITHOUT_BODY = new Set([204, 205, 304]);

/**
 * Sends a request with its content, one chunk at a time, and gives the answer: to a GET that succeeds with its body as
 * a stream, which the signal ends too, to any other with as much as 1 MiB of it. No redirect is followed. An answer
 * that comes before all was sent ends the sending. By `node:http`, where a chunk is neither copied nor kept: the streams
 * of `fetch` do both.
 * @throws the signal's reason; the content's error; the system's, as `fetch` has them in its cause.
 */
export async function sendContent(url: string, request: ContentRequest): Promise<Response> {
  const { content = nothing(), ...options } = request;
  const { signal } = options;
  signal.throwIfAborted();
  const call = await openRequest(url, options);
  const answered = answerOf(call, { url, isGet: options.method === "GET" });
  answered.catch(() => undefined);
  const chunks = content[Symbol.asyncIterator]();
  try {
    return await Promise.race([answered, sendAll(call, chunks).then(() => answered)]);
  } catch (error) {
    signal.throwIfAborted();
    if (!isBreak(error)) throw error;
    // Where sending broke off, an answer that is already there says why.
    return await answered.catch(() => {
      throw error;
    });
  } finally {
    if (!call.writableFinished) call.destroy();
    void endQuietly(chunks);
  }
}

async function openRequest(url: string, options: Omit<ContentRequest, "content">): Promise<ClientRequest> {
  // Not before they are needed: they bring 50 modules of Node's along.
  const { request } = url.startsWith("https:") ? await import("node:https") : await import("node:http");
  const call = request(url, { ...options, timeout: CONNECT_TIMEOUT });
  call.on("timeout", () => {
    if (call.socket?.connecting === true)
      call.destroy(Object.assign(new Error("no connection in time"), { code: "ETIMEDOUT" }));
  });
  return call;
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // A request without a body.
}

function isBreak(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EPIPE" || code === "ECONNRESET";
}

/** Ends without an error where the request was ended by others. */
async function sendAll(call: ClientRequest, chunks: AsyncIterator<Uint8Array>): Promise<void> {
  for (;;) {
    const { done, value } = await chunks.next();
    if (call.destroyed) return;
    if (done === true) return void call.end();
    await new Promise<void>((resolve, reject) => {
      call.write(value, (error) => (error == null ? resolve() : reject(error)));
    });
  }
}

interface Asked {
  readonly url: string;
  readonly isGet: boolean;
}

function answerOf(call: ClientRequest, asked: Asked): Promise<Response> {
  return new Promise((resolve, reject) => {
    call.on("error", reject);
    call.once("response", (message) => {
      readAnswer(message, asked).then(resolve, reject);
    });
  });
}

async function readAnswer(message: IncomingMessage, { url, isGet }: Asked): Promise<Response> {
  const { statusCode: status = 0, rawHeaders } = message;
  const isStreamed = isGet && (status === 200 || status === 206);
  const body = isStreamed ? ReadableStream.from(message) : await readSome(message);
  const headers = new Headers();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
  const response = new Response(WITHOUT_BODY.has(status) ? null : body, { status, headers });
  return Object.defineProperty(response, "url", { value: url });
}

async function readSome(message: IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of message as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= MOST_ANSWER) break;
    }
  } catch (error) {
    // A refusal says what it says; docker-registry gives those of ranges a false length.
    if ((message.statusCode ?? 0) < 300) throw error;
  }
  return Buffer.concat(chunks);
}

/** What content says at its end is nobody's business once it is not sent any more. */
async function endQuietly(chunks: AsyncIterator<Uint8Array>): Promise<void> {
  await chunks.return?.().catch(() => undefined);
}
