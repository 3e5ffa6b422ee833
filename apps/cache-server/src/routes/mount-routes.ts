import type { FastifyInstance } from "fastify";
import { parseMountState } from "@varve/cache";
import { ServerError } from "../errors.ts";
import { SCHEMAS } from "../schemas.ts";
import type { Server } from "../server.ts";

interface MountRoute {
  readonly Params: { readonly id: string };
}

const MOUNT_ID = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string", pattern: "^[0-9a-f]{64}$" } },
} as const;

const MOUNT = {
  type: "object",
  required: ["layer", "updatedAt"],
  properties: { layer: SCHEMAS["layer"], updatedAt: { type: "string", maxLength: 40 } },
} as const;

/** What cache mounts hold. */
export function addMountRoutes(app: FastifyInstance, { storage }: Server): void {
  app.get<MountRoute>(
    "/mounts/:id",
    { schema: { summary: "What a cache mount holds", params: MOUNT_ID } },
    async (request) => {
      const found = storage.mounts.find(request.params.id, request.principal.readChain);
      if (found === undefined) throw new ServerError("NOT_FOUND", `Cannot find cache mount "${request.params.id}"`);
      return found;
    },
  );
  app.put<MountRoute>(
    "/mounts/:id",
    { schema: { summary: "Keep what a cache mount holds", params: MOUNT_ID, body: MOUNT } },
    async (request, reply) => {
      await storage.mounts.put(request.params.id, parseMountState(request.body), request.principal);
      return reply.code(204).send();
    },
  );
}
