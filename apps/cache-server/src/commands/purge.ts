import { PROTOCOL_PATH } from "@varve/cache";
import { ServerError } from "../errors.ts";
import { parseDuration } from "../parse-duration.ts";
import { openStorage } from "../storage/open-storage.ts";
import { invalidate, type Invalidation } from "../storage/invalidate.ts";

/** What `purge` was given. */
export interface PurgeFlags {
  readonly data: string;
  /** Of a running server; its token is `token`. */
  readonly server: string | undefined;
  readonly token: string | undefined;
  readonly writtenBy: string | undefined;
  readonly lane: string | undefined;
  readonly key: string | undefined;
  readonly producer: string | undefined;
  readonly since: string | undefined;
  readonly before: string | undefined;
}

/** Removes records and prints how many: of a running server, or in the directory of one that is stopped. */
export async function purge(flags: PurgeFlags): Promise<number> {
  const wanted = invalidationOf(flags);
  if (Object.keys(wanted).length === 0)
    throw new ServerError(
      "SERVER_USAGE",
      "Cannot purge: nothing says what; wanted --written-by, --lane, --key, --producer, --since or --before",
    );
  const { removed, mounts } =
    flags.server === undefined
      ? await purgeStopped(flags.data, wanted)
      : await purgeRunning(flags.server, flags.token, wanted);
  process.stdout.write(
    `removed ${removed} record${removed === 1 ? "" : "s"}, ${mounts} cache mount${mounts === 1 ? "" : "s"}\n`,
  );
  return 0;
}

/** `writtenBy` is a token's id, or a principal's name. */
function invalidationOf({ writtenBy, lane, key, producer, since, before }: PurgeFlags): Invalidation {
  const isToken = /^[0-9a-f]{16}$/.test(writtenBy ?? "");
  const hex = key?.replace(/^sha256:/, "");
  return {
    ...(writtenBy === undefined ? {} : isToken ? { token: writtenBy } : { principal: writtenBy }),
    ...(lane === undefined ? {} : { lane }),
    ...(hex === undefined ? {} : { keyPrefix: hex }),
    ...(producer === undefined ? {} : { producer }),
    ...(since === undefined ? {} : { after: parseTime(since) }),
    ...(before === undefined ? {} : { before: parseTime(before) }),
  };
}

/** A time as in RFC 3339, or a duration that lies behind. */
function parseTime(text: string): string {
  const time = Date.parse(text);
  return new Date(Number.isNaN(time) ? Date.now() - parseDuration(text) : time).toISOString();
}

interface Purged {
  readonly removed: number;
  readonly mounts: number;
}

async function purgeStopped(data: string, wanted: Invalidation): Promise<Purged> {
  await using storage = await openStorage(data, {
    budget: Number.MAX_SAFE_INTEGER,
    minFree: 0,
    quotas: [],
    mountBudget: 0,
    uploadLifetime: 0,
    useGranularity: 0,
    holdNew: 0,
    onWarning: (message) => process.stderr.write(`WARNING ${message}\n`),
  });
  // Awaited here: the storage is open until this function ends.
  return await invalidate(storage.database, wanted);
}

async function purgeRunning(server: string, token: string | undefined, wanted: Invalidation): Promise<Purged> {
  const response = await fetch(`${server.replace(/\/$/, "")}${PROTOCOL_PATH}/invalidate`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(wanted),
  });
  const body = (await response.json()) as Purged & { readonly error?: { readonly message: string } };
  if (response.ok) return body;
  throw new ServerError(
    "ANSWER_INVALID",
    `Cannot purge: the server answers ${response.status}: ${body.error?.message ?? "nothing else"}`,
  );
}
