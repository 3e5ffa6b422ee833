import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import fastifySwagger from "@fastify/swagger";
import { Ajv } from "ajv";
import fastify, {
  LogController,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { CacheError, PROTOCOL_PATH } from "@varve/cache";
import { createAuthenticate } from "./authenticate.ts";
import { explainWriteError, ServerError } from "./errors.ts";
import { continueIfAsked } from "./request-body.ts";
import { addBlobRoutes } from "./routes/blob-routes.ts";
import { addDashboardRoutes } from "./routes/dashboard-routes.ts";
import { addInsightRoutes } from "./routes/insight-routes.ts";
import { addLeaseRoutes } from "./routes/lease-routes.ts";
import { addMountRoutes } from "./routes/mount-routes.ts";
import { addRecordRoutes } from "./routes/record-routes.ts";
import { addServiceRoutes } from "./routes/service-routes.ts";
import { addTrustRoutes } from "./routes/trust-routes.ts";
import { addUploadRoutes } from "./routes/upload-routes.ts";
import type { Server } from "./server.ts";
import { VERSION } from "./version.ts";

/** JSON bodies: a build with a thousand steps. */
const BODY_LIMIT = 8 * 1024 * 1024;
/** Milliseconds for a request's head. */
const HEADERS_TIMEOUT = 15_000;
/** Longer than the proxies in front, which would otherwise send into a connection that is being closed. */
const KEEP_ALIVE_TIMEOUT = 75_000;

/** The HTTP side of a server: all routes, not listening yet. */
export async function createApp(server: Server, log: FastifyInstance["log"]): Promise<FastifyInstance> {
  const { tls, bodyTimeout, trustProxy } = server.settings;
  const options = {
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy,
    bodyLimit: BODY_LIMIT,
    exposeHeadRoutes: false,
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    forceCloseConnections: "idle",
    return503OnClosing: false,
    routerOptions: { maxParamLength: 512 },
    http: { headersTimeout: HEADERS_TIMEOUT, connectionsCheckingInterval: 5000 },
  } as const;
  const app = (
    tls === undefined
      ? fastify(options)
      : fastify({
          ...options,
          https: { ...tls, minVersion: "TLSv1.2" },
        })
  ) as FastifyInstance;
  answerExpectations(app.server);
  setValidators(app);
  app.decorateRequest("principal");
  app.setErrorHandler((error, request, reply) => sendError(error as FastifyError, request, reply));
  app.setNotFoundHandler((request, reply) =>
    sendError(new ServerError("NOT_FOUND", `Cannot find "${request.url.split("?")[0]}"`), request, reply),
  );
  addParsers(app);
  limitBodyTime(app, bodyTimeout);
  measure(app, server);
  await app.register(fastifySwagger, {
    openapi: { openapi: "3.1.0", info: DESCRIPTION, security: [{ token: [] }], components: SECURITY },
  });
  await app.register(
    async (routes) => {
      routes.addHook("onRequest", createAuthenticate(server));
      for (const add of ROUTES) add(routes, server);
    },
    { prefix: PROTOCOL_PATH },
  );
  await app.register(async (routes) => addServiceRoutes(routes, server));
  addDashboardRoutes(app);
  app.get("/openapi.json", { schema: { summary: "This description" } }, async () => app.swagger());
  await app.ready();
  return app;
}

const ROUTES = [
  addRecordRoutes,
  addBlobRoutes,
  addUploadRoutes,
  addLeaseRoutes,
  addMountRoutes,
  addTrustRoutes,
  addInsightRoutes,
];

const DESCRIPTION = {
  title: "varve cache server",
  version: VERSION,
  description: "Errors are {error: {code, message, hint?}}; docs/protocol.md explains all.",
};
const SECURITY = { securitySchemes: { token: { type: "http", scheme: "bearer" } } } as const;

/** Node would tell every client to go on; here that is said once the body is wanted. RFC 9110, section 10.1.1. */
function answerExpectations(server: HttpServer): void {
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) =>
    server.emit("request", request, response),
  );
}

/** Bodies are taken as they are; parameters are texts, of which numbers are made. */
function setValidators(app: FastifyInstance): void {
  const exact = new Ajv({ strict: false, allErrors: false });
  const coercing = new Ajv({ strict: false, allErrors: false, coerceTypes: true, useDefaults: true });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === "body" ? exact : coercing).compile(schema as object),
  );
}

function addParsers(app: FastifyInstance): void {
  app.removeContentTypeParser("text/plain");
  // Blobs are read by their routes, as they come.
  app.addContentTypeParser("application/octet-stream", (_, payload, done) => done(null, payload));
  app.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string", bodyLimit: 64 * 1024 },
    (_, body, done) => done(null, Object.fromEntries(new URLSearchParams(body as string))),
  );
}

/** A JSON body has to come within `timeout` ms; routes that take blobs look to it themselves. */
function limitBodyTime(app: FastifyInstance, timeout: number): void {
  const timers = new WeakMap<FastifyRequest, NodeJS.Timeout>();
  const clear = async (request: FastifyRequest): Promise<void> => clearTimeout(timers.get(request));
  app.addHook("preParsing", async (request, reply, payload) => {
    if (request.headers["content-type"]?.startsWith("application/octet-stream") === true) return payload;
    continueIfAsked(request, reply);
    timers.set(
      request,
      setTimeout(() => request.raw.destroy(), timeout),
    );
    return payload;
  });
  app.addHook("preValidation", clear);
  app.addHook("onResponse", clear);
  app.addHook("onRequestAbort", clear);
}

function measure(app: FastifyInstance, { metrics }: Server): void {
  app.addHook("onResponse", async (request, reply) => {
    // A body that nobody wanted is let pass, so that the connection can be used again.
    if (!request.raw.readableEnded) request.raw.resume();
    const route = request.routeOptions.url ?? "unknown";
    const seconds = reply.elapsedTime / 1000;
    metrics.request({ route, method: request.method, status: String(reply.statusCode) }, seconds);
    request.log.debug(
      { method: request.method, route, status: reply.statusCode, seconds, principal: request.principal?.name },
      "answered",
    );
  });
}

function sendError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const told = toServerError(error);
  if (told.status >= 500) request.log.error({ err: error, route: request.routeOptions.url }, told.message);
  else request.log.debug({ code: told.code, principal: request.principal?.name }, told.message);
  if (told.code === "TOKEN_INVALID") void reply.header("www-authenticate", 'Bearer realm="varve"');
  if (told.code === "TOO_SLOW") void reply.header("connection", "close");
  const hint = told.hint === undefined ? {} : { hint: told.hint };
  for (const name of ["content-length", "etag", "cache-control", "accept-ranges"]) void reply.removeHeader(name);
  return reply
    .code(told.status)
    .header("content-type", "application/json; charset=utf-8")
    .send({ error: { code: told.code, message: told.message, ...hint }, ...told.details });
}

/** What the client is told: the message of a mistake of its own, and nothing about the inside of the server. */
function toServerError(error: FastifyError | Error): ServerError {
  const explained = explainWriteError(error);
  if (explained instanceof ServerError) return explained;
  if (error instanceof CacheError) return new ServerError("REQUEST_INVALID", error.message, { cause: error });
  const status = (error as FastifyError).statusCode ?? 500;
  if (status === 413) return new ServerError("TOO_LARGE", `Cannot read the body: ${error.message}`);
  if (status >= 400 && status < 500)
    return new ServerError("REQUEST_INVALID", `Cannot read the request: ${error.message}`);
  return new ServerError("INTERNAL", "Cannot answer: something went wrong in the server", { cause: error });
}
