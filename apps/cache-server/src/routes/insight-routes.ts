import type { FastifyInstance } from "fastify";
import type { BuildReport, Lane } from "@varve/cache";
import { parseTotals } from "../database/totals.ts";
import { ServerError } from "../errors.ts";
import { SCHEMAS } from "../schemas.ts";
import type { Server } from "../server.ts";
import type { Principal } from "../trust/principal.ts";
import { VERSION } from "../version.ts";

/** Hours that `/stats` tells: 14 days. */
const HOURS = 14 * 24;
const HOT_KEYS = 50;
const MAX_LANES = 500;

/** What the dashboard shows. */
export function addInsightRoutes(app: FastifyInstance, server: Server): void {
  const { builds, activity } = server;
  app.post<{ Body: BuildReport }>(
    "/builds",
    { schema: { summary: "Report a build", body: SCHEMAS["buildReport"] } },
    async (request, reply) => {
      await builds.add(pickReport(request.body), request.principal);
      const { bytesSaved, timeSaved } = request.body;
      activity.count({ bytesSaved, timeSaved, builds: 1 });
      return reply.code(201).send({});
    },
  );
  app.get<{ Querystring: { readonly limit: number } }>(
    "/builds",
    { schema: { summary: "The latest builds", querystring: LIMIT } },
    async (request) => ({ builds: await builds.list(request.query.limit, laneFilter(request.principal)) }),
  );
  app.get<{ Params: { readonly id: string } }>(
    "/builds/:id",
    { schema: { summary: "A build and its steps", params: BUILD_ID } },
    async (request) => {
      const build = await builds.find(request.params.id, laneFilter(request.principal));
      if (build === undefined) throw new ServerError("NOT_FOUND", `Cannot find build "${request.params.id}"`);
      return build;
    },
  );
  app.get("/stats", { schema: { summary: "What the cache did and holds" } }, async (request) =>
    readStats(server, laneFilter(request.principal)),
  );
}

const LIMIT = {
  type: "object",
  properties: { limit: { type: "integer", minimum: 1, maximum: 200, default: 50 } },
} as const;

const BUILD_ID = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string", pattern: "^[A-Za-z0-9_.-]{1,64}$" } },
} as const;

/** Without what is not a report's. */
function pickReport(report: BuildReport): BuildReport {
  const { id, project, target, startedAt, duration, outcome, steps, bytesSaved, timeSaved } = report;
  return { id, project, target, startedAt, duration, outcome, steps, bytesSaved, timeSaved };
}

/** Which lanes a principal sees: those that it reads, or all of them as an admin. */
function laneFilter({ actions, readChain }: Principal): (lane: Lane) => boolean {
  return (lane) => actions.includes("admin") || readChain.includes(lane);
}

async function readStats(server: Server, isVisible: (lane: Lane) => boolean): Promise<object> {
  const { storage, settings, activity, hotKeys, startedAt } = server;
  const hours = await activity.hours(HOURS);
  const { bytes, blobs, records } = storage.totals();
  const evicted = storage.evicted();
  return {
    startedAt,
    now: new Date().toISOString(),
    version: VERSION,
    storage: {
      bytes,
      budget: settings.budget,
      blobs,
      records,
      uploads: storage.uploads.count(),
      evictedBlobs: evicted.blobs,
      evictedBytes: evicted.bytes,
    },
    totals: activity.totals(),
    hours,
    lanes: await listLanes(server, isVisible),
    hotKeys: hotKeys.list(HOT_KEYS, isVisible),
  };
}

async function listLanes({ storage }: Server, isVisible: (lane: Lane) => boolean): Promise<readonly object[]> {
  const lanes: { readonly lane: Lane; readonly bytes: number; readonly blobs: number; readonly records: number }[] = [];
  for await (const [key, text] of storage.database.list("lane/")) {
    const lane = key.slice("lane/".length);
    if (isVisible(lane)) lanes.push({ lane, ...parseTotals(text) });
  }
  return lanes.toSorted((a, b) => b.bytes - a.bytes).slice(0, MAX_LANES);
}
