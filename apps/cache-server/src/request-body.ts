import type { FastifyReply, FastifyRequest } from "fastify";
import { ServerError } from "./errors.ts";

/** Bytes that must come within the time that a body has: slower ones are attacks, or hopeless. */
const LEAST_BYTES = 64 * 1024;

/**
 * The bytes of a request's body as they come; Node ends them at the length that was announced.
 * @throws ServerError `TOO_SLOW` where within `timeout` ms less than 64 KiB come.
 */
export async function* readBody(
  request: FastifyRequest,
  reply: FastifyReply,
  { timeout, onBytes }: { readonly timeout: number; readonly onBytes: (bytes: number) => void },
): AsyncGenerator<Uint8Array> {
  const { raw } = request;
  let received = 0;
  let marked = 0;
  let isTooSlow = false;
  let wake = (): void => {};
  const onEvent = (): void => wake();
  const timer = setInterval(() => {
    // A consumer that is slow itself, such as a busy disk, is no reason: what it has not taken yet counts.
    isTooSlow = received - marked < LEAST_BYTES && raw.readableLength === 0;
    marked = received;
    if (isTooSlow) wake();
  }, timeout);
  for (const event of ["readable", "end", "error", "close"]) raw.on(event, onEvent);
  continueIfAsked(request, reply);
  try {
    while (!raw.readableEnded) {
      const chunk = raw.read() as Buffer | null;
      if (chunk !== null) {
        received += chunk.length;
        onBytes(chunk.length);
        yield chunk;
      } else if (isTooSlow) {
        throw new ServerError(
          "TOO_SLOW",
          `Cannot receive the body: fewer than ${LEAST_BYTES} bytes came in ${timeout} ms`,
        );
      } else if (raw.destroyed && !raw.readableEnded) {
        throw new ServerError("SIZE_MISMATCH", "Cannot receive the body: the client went away");
      } else if (!raw.readableEnded) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }
  } finally {
    clearInterval(timer);
    for (const event of ["readable", "end", "error", "close"]) raw.off(event, onEvent);
    // What is not wanted any more is let pass, so that the client gets to read the answer.
    if (!raw.readableEnded) raw.on("error", () => {}).resume();
  }
}

/** Tells a client that waits for it to send the body. RFC 9110, section 10.1.1. */
export function continueIfAsked(request: FastifyRequest, reply: FastifyReply): void {
  if (request.headers.expect?.toLowerCase() === "100-continue" && !reply.raw.headersSent) reply.raw.writeContinue();
}

/**
 * The size that a request announces for its body.
 * @throws ServerError `LENGTH_REQUIRED`.
 */
export function announcedSize(request: FastifyRequest): number {
  const text = request.headers["content-length"];
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text);
  throw new ServerError("LENGTH_REQUIRED", "Cannot receive the body: its length is not known; wanted Content-Length");
}
