import type { FastifyInstance } from "fastify";
import { ServerError } from "../errors.ts";
import { SCHEMAS } from "../schemas.ts";
import type { Server } from "../server.ts";
import { invalidate, type Invalidation } from "../storage/invalidate.ts";
import { checkAction } from "../trust/principal.ts";

const GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange";

/** Keys, tokens, and taking back what was written. */
export function addTrustRoutes(app: FastifyInstance, server: Server): void {
  const { storage, exchange, metrics } = server;
  app.get(
    "/keys",
    { schema: { summary: "The keys that records are signed with" }, config: { isPublic: true } },
    async () => ({
      keys: storage.keys.verifyKeys,
    }),
  );
  app.post<{ Body: { readonly subject_token: string } }>(
    "/token",
    { schema: { summary: "Exchange an OIDC token", body: EXCHANGE }, config: { isPublic: true }, bodyLimit: 64 * 1024 },
    async (request, reply) => {
      void reply.header("cache-control", "no-store");
      const response = await exchange.exchange(request.body.subject_token).catch((error: unknown) => {
        metrics.tokens("refused");
        throw error;
      });
      metrics.tokens("exchanged");
      return response;
    },
  );
  app.get("/whoami", { schema: { summary: "What the token may do" } }, async ({ principal }) => ({
    principal: principal.name,
    lane: principal.lane ?? null,
    readChain: principal.readChain,
    actions: principal.actions,
    ...(principal.expiresAt === undefined ? {} : { expiresAt: new Date(principal.expiresAt).toISOString() }),
  }));
  app.post<{ Body: Invalidation }>(
    "/invalidate",
    { schema: { summary: "Remove records", body: INVALIDATE } },
    async (request) => {
      checkAction(request.principal, "admin");
      for (const name of ["after", "before"] as const) {
        const time = request.body[name];
        if (time !== undefined && Number.isNaN(Date.parse(time)))
          throw new ServerError("REQUEST_INVALID", `Cannot invalidate: "${time}" is no time as in RFC 3339`);
      }
      const result = await invalidate(storage.database, request.body);
      request.log.warn({ principal: request.principal.name, wanted: request.body, result }, "records invalidated");
      return result;
    },
  );
}

const EXCHANGE = {
  type: "object",
  required: ["grant_type", "subject_token"],
  properties: {
    grant_type: { type: "string", enum: [GRANT_TYPE] },
    subject_token: { type: "string", maxLength: 32_768 },
    subject_token_type: { type: "string", maxLength: 200 },
  },
} as const;

const INVALIDATE = {
  type: "object",
  minProperties: 1,
  additionalProperties: false,
  properties: {
    key: SCHEMAS["digest"],
    keyPrefix: { type: "string", pattern: "^[0-9a-f]{1,64}$" },
    lane: { type: "string", maxLength: 200 },
    producer: { type: "string", maxLength: 4096 },
    principal: { type: "string", maxLength: 4096 },
    token: { type: "string", pattern: "^[0-9a-f]{16}$" },
    after: { type: "string", maxLength: 40 },
    before: { type: "string", maxLength: 40 },
  },
} as const;
