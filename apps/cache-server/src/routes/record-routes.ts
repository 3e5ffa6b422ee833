import type { FastifyInstance, FastifyReply } from "fastify";
import { type CacheKey, type Lane, parseRecord, PROTOCOL_LIMITS, type ResolveRequest } from "@varve/cache";
import type { Digest } from "@varve/oci";
import { ServerError } from "../errors.ts";
import { resolveSteps } from "../resolve-steps.ts";
import { digestParameter, digestsSchema, SCHEMAS } from "../schemas.ts";
import type { Server } from "../server.ts";
import type { FoundRecord, PutResult } from "../storage/records.ts";

const JSON_TYPE = "application/json; charset=utf-8";

/** Records: one, many, and whole builds. */
export function addRecordRoutes(app: FastifyInstance, server: Server): void {
  const { storage, leases } = server;
  app.get<{ Params: { readonly key: CacheKey } }>(
    "/records/:key",
    { schema: { summary: "A record", params: digestParameter("key") } },
    (request, reply) => {
      const [found] = findMany([request.params.key], request.principal.readChain, server);
      if (found === undefined) throw unknownRecord(request.params.key);
      return reply.header("content-type", JSON_TYPE).send(found.json);
    },
  );
  app.put<{ Params: { readonly key: CacheKey }; Querystring: { readonly replace?: string } }>(
    "/records/:key",
    {
      schema: {
        summary: "Put a record, first write wins",
        params: digestParameter("key"),
        querystring: { type: "object", properties: { replace: { type: "string", enum: ["0", "1"] } } },
        body: SCHEMAS["record"],
      },
    },
    async (request, reply) => {
      const record = parseRecord(request.body);
      if (record.key !== request.params.key)
        throw new ServerError("REQUEST_INVALID", `Cannot put record "${record.key}" under another key`);
      const replace = request.query.replace === "1";
      const result = await storage.records.put(record, { principal: request.principal, replace });
      count(result, server);
      if (result.outcome === "stored") leases.notify(record.key);
      return sendOutcome(reply, result);
    },
  );
  app.post<{ Body: { readonly keys: readonly CacheKey[] } }>(
    "/records/lookup",
    { schema: { summary: "Many records", body: digestsSchema("keys", PROTOCOL_LIMITS.digests) } },
    (request, reply) => sendRecords(reply, findMany(request.body.keys, request.principal.readChain, server)),
  );
  app.post<{ Body: ResolveRequest }>(
    "/resolve",
    { schema: { summary: "The records of a whole build", body: RESOLVE } },
    (request, reply) => {
      const { readChain } = request.principal;
      const found = resolveSteps(request.body, (key) => findOne(key, readChain, server));
      tally(found, server);
      return sendRecords(reply, found);
    },
  );
  app.post<{ Body: { readonly contentDigests: readonly Digest[] } }>(
    "/layers/lookup",
    { schema: { summary: "Layers by their content", body: digestsSchema("contentDigests", PROTOCOL_LIMITS.digests) } },
    async (request) => {
      const { readChain } = request.principal;
      return {
        layers: request.body.contentDigests.map((digest) => storage.records.findLayer(digest, readChain) ?? null),
      };
    },
  );
}

const RESOLVE = {
  type: "object",
  required: ["roots", "steps"],
  properties: {
    roots: {
      type: "array",
      maxItems: PROTOCOL_LIMITS.roots,
      items: { type: "array", maxItems: PROTOCOL_LIMITS.roots, items: SCHEMAS["digest"] },
    },
    steps: { type: "array", maxItems: PROTOCOL_LIMITS.steps, items: SCHEMAS["resolveStep"] },
  },
} as const;

/** For whom no record of a key is readable, there is none. */
function unknownRecord(key: CacheKey): ServerError {
  return new ServerError("NOT_FOUND", `Cannot find record "${key}"`);
}

function findMany(
  keys: readonly CacheKey[],
  lanes: readonly Lane[],
  server: Server,
): readonly (FoundRecord | undefined)[] {
  const found = keys.map((key) => findOne(key, lanes, server));
  tally(found, server);
  return found;
}

function findOne(key: CacheKey, lanes: readonly Lane[], { storage, hotKeys }: Server): FoundRecord | undefined {
  const found = storage.records.find(key, lanes);
  if (found !== undefined) hotKeys.hit(key, found);
  return found;
}

function tally(found: readonly (FoundRecord | undefined)[], { activity, metrics }: Server): void {
  const hits = found.filter((each) => each !== undefined).length;
  const misses = found.length - hits;
  activity.count({ hits, misses });
  if (hits > 0) metrics.records("hit", hits);
  if (misses > 0) metrics.records("miss", misses);
}

function count({ outcome }: PutResult, { activity, metrics }: Server): void {
  metrics.records(outcome);
  if (outcome === "stored") activity.count({ stored: 1 });
  if (outcome === "conflict") activity.count({ conflicts: 1 });
}

/** Records are sent as they are kept: in JSON. */
function sendRecords(reply: FastifyReply, found: readonly (FoundRecord | undefined)[]): FastifyReply {
  const list = found.map((each) => each?.json ?? "null").join(",");
  return reply.header("content-type", JSON_TYPE).send(`{"records":[${list}]}`);
}

function sendOutcome(reply: FastifyReply, result: PutResult): FastifyReply {
  void reply.header("content-type", JSON_TYPE);
  switch (result.outcome) {
    case "stored":
      return reply.code(201).send('{"outcome":"stored"}');
    case "same":
      return reply.code(200).send('{"outcome":"same"}');
    case "conflict":
      return reply.code(409).send(`{"outcome":"conflict","existing":${result.existing}}`);
    default:
      return result satisfies never;
  }
}
