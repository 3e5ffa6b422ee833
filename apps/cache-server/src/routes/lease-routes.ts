import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { CacheKey, Lane, LeaseWaitResponse, SignedRecord } from "@varve/cache";
import { ServerError } from "../errors.ts";
import type { HeldLease } from "../leases.ts";
import { digestParameter } from "../schemas.ts";
import type { Server } from "../server.ts";
import { type Principal, writeLaneOf } from "../trust/principal.ts";

interface LeaseRoute {
  readonly Params: { readonly key: CacheKey };
}

/** How long a request waits where it does not say. Milliseconds. */
const DEFAULT_WAIT = 30_000;
const TTL = { type: "integer", minimum: 5000, maximum: 60_000 } as const;

/** Single flight: one builds, the others wait for its record. */
export function addLeaseRoutes(app: FastifyInstance, server: Server): void {
  const { leases } = server;
  const params = digestParameter("key");
  app.post<LeaseRoute & { Body: { readonly ttl: number; readonly holder: string } }>(
    "/leases/:key",
    { schema: { summary: "Ask for the lease on a key", params, body: ACQUIRE } },
    async (request, reply) => {
      const { key } = request.params;
      const lane = writeLaneOf(request.principal);
      const record = readRecord(key, request.principal, server);
      if (record !== undefined) return { record };
      const lease = leases.acquire(lane, key, request.body);
      if (!lease.granted) return { granted: false, ...formatLease(lease) };
      return reply.code(201).send({ ...lease, ttl: request.body.ttl });
    },
  );
  app.put<LeaseRoute & { Body: { readonly token: string; readonly ttl: number } }>(
    "/leases/:key",
    { schema: { summary: "Keep a lease", params, body: EXTEND } },
    async (request) => {
      const expiresAt = leases.extend(writeLaneOf(request.principal), request.params.key, request.body);
      if (expiresAt === undefined)
        throw new ServerError("NOT_FOUND", `Cannot extend the lease on "${request.params.key}": it is lost`);
      return { expiresAt: new Date(expiresAt).toISOString() };
    },
  );
  app.delete<LeaseRoute & { Querystring: { readonly token: string } }>(
    "/leases/:key",
    { schema: { summary: "Give a lease back", params, querystring: RELEASE } },
    async (request, reply) => {
      leases.release(writeLaneOf(request.principal), request.params.key, request.query.token);
      return reply.code(204).send();
    },
  );
  app.get<LeaseRoute & { Querystring: { readonly timeout?: number } }>(
    "/leases/:key/wait",
    { schema: { summary: "Wait for a record", params, querystring: WAIT } },
    (request, reply) => waitForRecord(request, reply, server),
  );
}

const ACQUIRE = {
  type: "object",
  required: ["ttl", "holder"],
  properties: { ttl: TTL, holder: { type: "string", maxLength: 200 } },
} as const;

const EXTEND = {
  type: "object",
  required: ["token", "ttl"],
  properties: { token: { type: "string", maxLength: 100 }, ttl: TTL },
} as const;

const RELEASE = {
  type: "object",
  required: ["token"],
  properties: { token: { type: "string", maxLength: 100 } },
} as const;
const WAIT = { type: "object", properties: { timeout: { type: "integer", minimum: 0, maximum: 60_000 } } } as const;

function readRecord(key: CacheKey, { readChain }: Principal, { storage }: Server): SignedRecord | undefined {
  const found = storage.records.find(key, readChain);
  return found === undefined ? undefined : (JSON.parse(found.json) as SignedRecord);
}

async function waitForRecord(
  request: FastifyRequest<LeaseRoute & { Querystring: { readonly timeout?: number } }>,
  reply: FastifyReply,
  server: Server,
): Promise<LeaseWaitResponse> {
  const { key } = request.params;
  const lane: Lane = request.principal.lane ?? request.principal.readChain[0] ?? "main";
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  const timeout = AbortSignal.timeout(request.query.timeout ?? DEFAULT_WAIT);
  const signal = AbortSignal.any([timeout, server.stopping, gone.signal]);
  for (;;) {
    const record = readRecord(key, request.principal, server);
    if (record !== undefined) return { state: "record", record };
    const held = server.leases.held(lane, key);
    if (held === undefined) return { state: "free" };
    if (signal.aborted) return { state: "held", ...formatLease(held) };
    await server.leases.wait(key, signal);
  }
}

function formatLease({ holder, since, expiresAt }: HeldLease): {
  readonly holder: string;
  readonly since: string;
  readonly expiresAt: string;
} {
  return { holder, since: new Date(since).toISOString(), expiresAt: new Date(expiresAt).toISOString() };
}
