import type { Activity } from "./insight/activity.ts";
import type { Builds } from "./insight/builds.ts";
import type { HotKeys } from "./insight/hot-keys.ts";
import type { Metrics } from "./insight/metrics.ts";
import type { Leases } from "./leases.ts";
import type { Storage } from "./storage/open-storage.ts";
import type { TokenExchange } from "./trust/oidc.ts";
import type { Tokens } from "./trust/tokens.ts";
import type { Settings } from "./settings.ts";

/** What the routes work on. */
export interface Server {
  readonly settings: Settings;
  readonly storage: Storage;
  readonly leases: Leases;
  readonly tokens: Tokens;
  readonly exchange: TokenExchange;
  readonly activity: Activity;
  readonly builds: Builds;
  readonly hotKeys: HotKeys;
  readonly metrics: Metrics;
  /** RFC 3339. */
  readonly startedAt: string;
  /** Aborted when the server begins to stop: nobody is kept waiting. */
  readonly stopping: AbortSignal;
}
