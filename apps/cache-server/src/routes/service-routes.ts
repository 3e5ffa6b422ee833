import type { FastifyInstance } from "fastify";
import { createAuthenticate } from "../authenticate.ts";
import type { Server } from "../server.ts";

/** Health and metrics. */
export function addServiceRoutes(app: FastifyInstance, server: Server): void {
  const { metrics, settings, stopping, storage } = server;
  app.get("/livez", { schema: { summary: "The process answers" } }, async () => ({ status: "ok" }));
  app.get("/readyz", { schema: { summary: "The server takes requests" } }, async (_, reply) => {
    if (stopping.aborted) return reply.code(503).send({ status: "stopping" });
    const isWritable = await storage.database
      .change((rows) => rows.put("ready", ""))
      .then(
        () => true,
        () => false,
      );
    return isWritable ? { status: "ok" } : reply.code(503).send({ status: "can't write" });
  });
  app.get(
    "/metrics",
    {
      schema: { summary: "What Prometheus reads" },
      ...(settings.metricsToken ? { onRequest: createAuthenticate(server) } : {}),
    },
    async (_, reply) =>
      reply.header("content-type", metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
}
