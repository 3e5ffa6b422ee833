import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { createApp } from "./create-app.ts";
import { ServerError } from "./errors.ts";
import { createActivity } from "./insight/activity.ts";
import { createBuilds } from "./insight/builds.ts";
import { createHotKeys } from "./insight/hot-keys.ts";
import { createMetrics } from "./insight/metrics.ts";
import { createLeases } from "./leases.ts";
import type { Server } from "./server.ts";
import type { Settings } from "./settings.ts";
import { openStorage } from "./storage/open-storage.ts";
import { createTokenExchange } from "./trust/oidc.ts";
import { openTokens } from "./trust/tokens.ts";

/** A server that listens. */
export interface RunningServer {
  /** `http://HOST:PORT`. */
  readonly url: string;
  /** Lets what is under way end, for as long as the settings allow, and closes what it keeps. */
  stop(): Promise<void>;
}

/** How often what was counted is written down. Milliseconds. */
const FLUSH_EVERY = 10_000;
/** How often tokens that are over are forgotten. Milliseconds. */
const SWEEP_EVERY = 600_000;
const IDLE_CHECK_EVERY = 50;

/**
 * Starts a server with these settings.
 * @throws ServerError `STORAGE_LOCKED`, `STORAGE_FORMAT`, `ADDRESS_UNUSABLE`.
 */
export async function startServer(settings: Settings): Promise<RunningServer> {
  const log = pino(
    { level: settings.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination(2),
  );
  const data = resolve(settings.data);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const storage = await openStorage(data, { ...settings, onWarning: (message) => log.warn(message) });
  const stopping = new AbortController();
  const server = assemble({ settings, storage, data, log, stopping: stopping.signal });
  const app = await createApp(server, log);
  const timers = [
    setInterval(() => void attempt(() => server.activity.flush(), log), FLUSH_EVERY).unref(),
    setInterval(() => void attempt(() => server.tokens.sweep(), log), SWEEP_EVERY).unref(),
  ];
  const close = async (): Promise<void> => {
    for (const timer of timers) clearInterval(timer);
    await attempt(() => server.activity.flush(), log);
    await storage[Symbol.asyncDispose]();
  };
  try {
    const url = await listen(app, settings);
    log.info({ url, data, anonymous: settings.anonymous }, "listening");
    if (settings.anonymous === "write") log.warn("anyone who reaches this server may write to lane main");
    return { url, stop: () => stop(app, { settings, stopping, close, log }) };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Parts {
  readonly settings: Settings;
  readonly storage: Server["storage"];
  readonly data: string;
  readonly log: FastifyInstance["log"];
  readonly stopping: AbortSignal;
}

function assemble({ settings, storage, data, log, stopping }: Parts): Server {
  const leases = createLeases();
  const tokens = openTokens(join(data, "tokens"));
  const onRefused = (reason: string): void => log.warn({ reason }, "an OIDC token was refused");
  return {
    settings,
    storage,
    leases,
    tokens,
    exchange: createTokenExchange({ rules: settings.oidc, tokens, database: storage.database, onRefused }),
    activity: createActivity(storage.database),
    builds: createBuilds(storage.database),
    hotKeys: createHotKeys(),
    metrics: createMetrics(storage, { budget: settings.budget, leases }),
    startedAt: new Date().toISOString(),
    stopping,
  };
}

/** What fails here is tried again later. */
async function attempt(task: () => Promise<void>, log: FastifyInstance["log"]): Promise<void> {
  await task().catch((error: unknown) => log.error({ err: error }, "cannot look after what is kept"));
}

async function listen(app: FastifyInstance, { host, port }: Settings): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (cause) {
    throw new ServerError(
      "ADDRESS_UNUSABLE",
      `Cannot listen at ${host}:${port}: ${(cause as NodeJS.ErrnoException).code}`,
      {
        cause,
        hint: "Choose another with --host and --port; port 0 takes a free one",
      },
    );
  }
}

interface Stopping {
  readonly settings: Settings;
  readonly stopping: AbortController;
  readonly close: () => Promise<void>;
  readonly log: FastifyInstance["log"];
}

/** Waiters are answered at once, idle connections closed; what still transfers gets its time. */
async function stop(app: FastifyInstance, { settings, stopping, close, log }: Stopping): Promise<void> {
  log.info("stopping");
  stopping.abort();
  const cut = setTimeout(() => {
    log.warn("cutting off what is still under way");
    app.server.closeAllConnections();
  }, settings.drainTimeout);
  // Connections that become idle later would be kept for the next request.
  const tidy = setInterval(() => app.server.closeIdleConnections(), IDLE_CHECK_EVERY);
  await app.close();
  clearTimeout(cut);
  clearInterval(tidy);
  await close();
  log.info("stopped");
}
