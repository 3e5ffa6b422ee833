import type { FastifyInstance } from "fastify";
import { PROTOCOL_LIMITS, type UploadRequest } from "@varve/cache";
import { ServerError } from "../errors.ts";
import { announcedSize, readBody } from "../request-body.ts";
import { SCHEMAS } from "../schemas.ts";
import type { Server } from "../server.ts";
import { createCountIn } from "./blob-routes.ts";

interface UploadRoute {
  readonly Params: { readonly id: string };
}

interface PartsRoute extends UploadRoute {
  readonly Querystring: { readonly first: number; readonly count: number };
}

/** Most bytes of one part. */
const MAX_PART = 64 * 1024 * 1024;

/** Blobs that are sent by parts. */
export function addUploadRoutes(app: FastifyInstance, server: Server): void {
  const { uploads } = server.storage;
  app.post<{ Body: UploadRequest }>(
    "/uploads",
    { schema: { summary: "Begin an upload by parts", body: UPLOAD }, bodyLimit: MAX_UPLOAD_BODY },
    async (request, reply) => {
      checkParts(request.body, server.settings.maxBlob);
      const state = await uploads.begin(request.body, request.principal);
      if (state === undefined) return { id: null, missing: [] };
      return reply.code(201).send(state);
    },
  );
  app.get<UploadRoute>(
    "/uploads/:id",
    { schema: { summary: "What an upload lacks", params: UPLOAD_ID } },
    async (request) => uploads.state(request.params.id, request.principal),
  );
  app.put<PartsRoute>(
    "/uploads/:id/parts",
    {
      schema: {
        summary: "Missing parts, one after the other",
        params: UPLOAD_ID,
        querystring: PARTS,
        consumes: ["application/octet-stream"],
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const wanted = { ...request.query, principal: request.principal };
      const { size } = uploads.expect(id, wanted);
      const announced = announcedSize(request);
      if (announced !== size)
        throw new ServerError(
          "SIZE_MISMATCH",
          `Cannot receive parts of upload "${id}": ${announced} bytes are announced; these parts have ${size}`,
        );
      const options = { timeout: server.settings.bodyTimeout, onBytes: createCountIn(server) };
      return uploads.receive(id, wanted, readBody(request, reply, options));
    },
  );
  app.post<UploadRoute>(
    "/uploads/:id/commit",
    { schema: { summary: "Put the blob together", params: UPLOAD_ID } },
    async (request, reply) => {
      await uploads.commit(request.params.id, request.principal);
      return reply.code(201).send({});
    },
  );
  app.delete<UploadRoute>(
    "/uploads/:id",
    { schema: { summary: "Drop an upload", params: UPLOAD_ID } },
    async (request, reply) => {
      await uploads.cancel(request.params.id, request.principal);
      return reply.code(204).send();
    },
  );
}

/** 100,000 parts with their digests. */
const MAX_UPLOAD_BODY = 16 * 1024 * 1024;

const UPLOAD_ID = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string", pattern: "^[A-Za-z0-9_-]{24}$" } },
} as const;

const UPLOAD = {
  type: "object",
  required: ["digest", "size", "parts"],
  properties: {
    digest: SCHEMAS["digest"],
    size: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    parts: {
      type: "array",
      minItems: 1,
      maxItems: PROTOCOL_LIMITS.parts,
      items: {
        type: "object",
        required: ["digest", "size"],
        properties: { digest: SCHEMAS["digest"], size: { type: "integer", minimum: 1, maximum: MAX_PART } },
      },
    },
  },
} as const;

const PARTS = {
  type: "object",
  required: ["first", "count"],
  properties: {
    first: { type: "integer", minimum: 0 },
    count: { type: "integer", minimum: 1, maximum: PROTOCOL_LIMITS.parts },
  },
} as const;

function checkParts({ digest, size, parts }: UploadRequest, maxBlob: number): void {
  if (size > maxBlob)
    throw new ServerError("TOO_LARGE", `Cannot store "${digest}": it has ${size} bytes; a blob may have ${maxBlob}`);
  const sum = parts.reduce((total, part) => total + part.size, 0);
  if (sum !== size)
    throw new ServerError(
      "REQUEST_INVALID",
      `Cannot begin the upload of "${digest}": its parts have ${sum} bytes; wanted ${size}`,
    );
}
