import type { BuildReport, Lane, ReportedStep } from "@varve/cache";
import type { Database } from "../database/database.ts";
import { buildKey, buildTimeKey } from "../database/keys.ts";
import type { Principal } from "../trust/principal.ts";

/** A build as it was reported, and by whom. */
export interface StoredBuild extends BuildReport {
  readonly lane: Lane;
  readonly principal: string;
  /** RFC 3339. */
  readonly receivedAt: string;
}

/** A build without its steps. */
export interface BuildSummary extends Omit<StoredBuild, "steps"> {
  /** Steps by state. */
  readonly counts: Readonly<Record<ReportedStep["state"], number>>;
}

/** The builds that were reported last. */
export interface Builds {
  /** Takes the place of an earlier report of the same principal with the same id. */
  add(report: BuildReport, principal: Principal): Promise<void>;
  /** The latest first; those whose lane `isVisible`. */
  list(limit: number, isVisible: (lane: Lane) => boolean): Promise<readonly BuildSummary[]>;
  find(id: string, isVisible: (lane: Lane) => boolean): Promise<StoredBuild | undefined>;
}

/** Builds that are kept. */
const MAX_BUILDS = 1000;

/** Builds in these rows. */
export function createBuilds(database: Database): Builds {
  return {
    async add(report, principal) {
      const receivedAt = new Date().toISOString();
      const lane = principal.lane ?? principal.readChain[0] ?? "main";
      const build: StoredBuild = { ...report, lane, principal: principal.name, receivedAt };
      // The principal is part of it, so that nobody replaces the reports of others.
      const id = `${report.id}/${lane}/${principal.name}`;
      await database.change((rows) => {
        const before = rows.get(buildKey(id));
        if (before !== undefined) rows.delete(buildTimeKey((JSON.parse(before) as StoredBuild).receivedAt, id));
        rows.put(buildKey(id), JSON.stringify(build));
        rows.put(buildTimeKey(receivedAt, id), "");
      });
      await dropOldBuilds(database);
    },
    async list(limit, isVisible) {
      const builds: BuildSummary[] = [];
      for await (const id of listIds(database)) {
        const text = database.get(buildKey(id));
        if (text === undefined) continue;
        const build = JSON.parse(text) as StoredBuild;
        if (isVisible(build.lane)) builds.push(summarize(build));
        if (builds.length === limit) break;
      }
      return builds;
    },
    async find(id, isVisible) {
      for await (const [, text] of database.list(`${buildKey(id)}/`)) {
        const build = JSON.parse(text) as StoredBuild;
        if (isVisible(build.lane)) return build;
      }
      return undefined;
    },
  };
}

async function* listIds(database: Database): AsyncGenerator<string> {
  for await (const [key] of database.list("build-time/", { reverse: true })) yield key.split("/").slice(2).join("/");
}

async function dropOldBuilds(database: Database): Promise<void> {
  const old: string[] = [];
  let position = 0;
  for await (const [key] of database.list("build-time/", { reverse: true })) {
    position += 1;
    if (position > MAX_BUILDS) old.push(key);
  }
  if (old.length === 0) return;
  await database.change((rows) => {
    for (const key of old) {
      rows.delete(key);
      rows.delete(buildKey(key.split("/").slice(2).join("/")));
    }
  });
}

function summarize({ steps, ...build }: StoredBuild): BuildSummary {
  const counts = { "hit-local": 0, "hit-remote": 0, waited: 0, ran: 0, failed: 0 };
  for (const { state } of steps) counts[state] += 1;
  return { ...build, counts };
}
