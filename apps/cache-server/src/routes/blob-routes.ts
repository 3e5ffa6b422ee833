import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { PROTOCOL_LIMITS } from "@varve/cache";
import type { Digest } from "@varve/oci";
import { ServerError } from "../errors.ts";
import { parseRange } from "../parse-range.ts";
import { createBufferRelease } from "../release-buffers.ts";
import { announcedSize, readBody } from "../request-body.ts";
import { digestParameter, digestsSchema } from "../schemas.ts";
import { sendRanges } from "../send-ranges.ts";
import type { Server } from "../server.ts";
import type { OpenBlob } from "../storage/blobs.ts";
import { writeLaneOf } from "../trust/principal.ts";

/** How long blobs that a client asked about are held, so that its record can name them. Milliseconds. */
const HOLD_ASKED = 3_600_000;
const BYTES = "application/octet-stream";

interface DigestRoute {
  readonly Params: { readonly digest: Digest };
}

/** Blobs: whole, in ranges, and which are missing. */
export function addBlobRoutes(app: FastifyInstance, server: Server): void {
  const { storage } = server;
  const params = digestParameter("digest");
  app.head<DigestRoute>("/blobs/:digest", { schema: { summary: "A blob's size", params } }, (request, reply) => {
    const size = storage.blobs.size(request.params.digest, request.principal.readChain);
    if (size === undefined) throw unknownBlob(request.params.digest);
    return describeBlob(reply, request.params.digest).header("content-length", size).send();
  });
  app.get<DigestRoute>(
    "/blobs/:digest",
    { schema: { summary: "A blob, or a run of its bytes", params } },
    (request, reply) => sendBlob(request, reply, server),
  );
  app.put<DigestRoute>(
    "/blobs/:digest",
    { schema: { summary: "Store a blob", params, consumes: [BYTES] } },
    (request, reply) => receiveBlob(request, reply, server),
  );
  app.post<DigestRoute & { Body: { readonly ranges: readonly (readonly [number, number])[] } }>(
    "/blobs/:digest/ranges",
    { schema: { summary: "Runs of a blob's bytes, one after the other", params, body: RANGES } },
    async (request, reply) => {
      const { digest } = request.params;
      const blob = await openBlob(digest, request, server);
      const ranges = request.body.ranges.map(([start, end]) => ({ start, end }));
      if (ranges.some(({ start, end }) => start >= end || end > blob.size)) {
        await blob[Symbol.asyncDispose]();
        throw new ServerError(
          "RANGE_INVALID",
          `Cannot send ranges of "${digest}": one is empty or leaves its ${blob.size} bytes`,
        );
      }
      const size = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
      countOut(server, size);
      void describeBlob(reply, digest).header("content-length", size);
      return sendRanges(reply, blob, ranges);
    },
  );
  app.post<{ Body: { readonly digests: readonly Digest[] } }>(
    "/blobs/missing",
    { schema: { summary: "Which blobs are not readable", body: digestsSchema("digests", PROTOCOL_LIMITS.digests) } },
    async (request) => ({
      missing: storage.blobs.missing(request.body.digests, request.principal.readChain, HOLD_ASKED),
    }),
  );
}

const RANGES = {
  type: "object",
  required: ["ranges"],
  properties: {
    ranges: {
      type: "array",
      maxItems: PROTOCOL_LIMITS.ranges,
      items: {
        type: "array",
        minItems: 2,
        maxItems: 2,
        items: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
      },
    },
  },
} as const;

/** The same for a blob that is not there and for one that the caller may not read. */
function unknownBlob(digest: Digest): ServerError {
  return new ServerError("NOT_FOUND", `Cannot find blob "${digest}"`);
}

function describeBlob(reply: FastifyReply, digest: Digest): FastifyReply {
  return reply
    .header("content-type", BYTES)
    .header("etag", `"${digest}"`)
    .header("accept-ranges", "bytes")
    .header("cache-control", "private, max-age=31536000, immutable")
    .header("x-content-type-options", "nosniff");
}

async function openBlob(digest: Digest, request: FastifyRequest, { storage }: Server): Promise<OpenBlob> {
  const blob = await storage.blobs.open(digest, request.principal.readChain);
  if (blob === undefined) throw unknownBlob(digest);
  return blob;
}

async function sendBlob(
  request: FastifyRequest<DigestRoute>,
  reply: FastifyReply,
  server: Server,
): Promise<FastifyReply> {
  const { digest } = request.params;
  const blob = await openBlob(digest, request, server);
  const range = parseRange(request.headers.range, blob.size);
  if (range === "unsatisfiable") {
    await blob[Symbol.asyncDispose]();
    void reply.header("content-range", `bytes */${blob.size}`);
    throw new ServerError(
      "RANGE_INVALID",
      `Cannot send "${request.headers.range}" of "${digest}": it has ${blob.size} bytes`,
    );
  }
  const { start, end } = range ?? { start: 0, end: blob.size };
  void describeBlob(reply, digest).header("content-length", end - start);
  if (range !== undefined) void reply.code(206).header("content-range", `bytes ${start}-${end - 1}/${blob.size}`);
  countOut(server, end - start);
  return sendRanges(reply, blob, [{ start, end }]);
}

function countOut({ metrics, activity }: Server, bytes: number): void {
  metrics.blobBytes("out", bytes);
  activity.count({ bytesOut: bytes });
}

async function receiveBlob(
  request: FastifyRequest<DigestRoute>,
  reply: FastifyReply,
  server: Server,
): Promise<FastifyReply> {
  const { storage, settings } = server;
  const { digest } = request.params;
  const lane = writeLaneOf(request.principal);
  const size = announcedSize(request);
  if (storage.blobs.size(digest, request.principal.readChain) !== undefined)
    return reply.code(200).send({ digest, size });
  if (size > settings.maxBlob)
    throw new ServerError(
      "TOO_LARGE",
      `Cannot store "${digest}": it has ${size} bytes; a blob may have ${settings.maxBlob}`,
    );
  const content = readBody(request, reply, { timeout: settings.bodyTimeout, onBytes: createCountIn(server) });
  await storage.blobs.receive({ digest, size, lane }, content);
  return reply.code(201).send({ digest, size });
}

const releaseBuffers = createBufferRelease();

/** Counts bytes as they come. */
export function createCountIn({ metrics, activity }: Pick<Server, "metrics" | "activity">): (bytes: number) => void {
  return (bytes) => {
    releaseBuffers(bytes);
    metrics.blobBytes("in", bytes);
    activity.count({ bytesIn: bytes });
  };
}
