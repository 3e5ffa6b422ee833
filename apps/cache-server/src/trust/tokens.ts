import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Lane } from "@varve/cache";
import { ServerError } from "../errors.ts";
import { writeFileWhole } from "../write-file-whole.ts";
import { checkReadChain, parseLane } from "./lanes.ts";
import type { Action, Principal } from "./principal.ts";

/** What is kept of a token: never its secret. Times in RFC 3339. */
export interface StoredToken {
  readonly id: string;
  /** sha256 of the secret, in hexadecimal digits. */
  readonly hash: string;
  readonly principal: string;
  readonly lane: Lane | null;
  readonly readChain: readonly Lane[];
  readonly actions: readonly Action[];
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  /** How it came about. */
  readonly source: "command" | "exchange";
}

/** What a new token is to allow. */
export interface TokenGrant {
  readonly principal: string;
  readonly lane: Lane | undefined;
  readonly readChain: readonly Lane[];
  readonly actions: readonly Action[];
  /** Milliseconds; undefined for a token without end. */
  readonly lifetime: number | undefined;
  readonly source: StoredToken["source"];
}

/** Tokens of a server, a file each, so that commands can add and revoke them while it runs. */
export interface Tokens {
  /** Gives the token, which nobody can read again. */
  create(grant: TokenGrant): Promise<{ readonly token: string; readonly stored: StoredToken }>;
  list(): readonly StoredToken[];
  /** False where there is no such token. */
  revoke(id: string): Promise<boolean>;
  /** Who comes with this token. @throws ServerError `TOKEN_INVALID`, whatever the reason. */
  authenticate(token: string): Principal;
  /** Forgets tokens that were exchanged and are over. */
  sweep(): Promise<void>;
}

/** `varve_`, an id, and 32 random bytes in base64url: what scanners for secrets can look for. */
const TOKEN = /^varve_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;
/** How long a token's file is not read again: what revoking takes at most. Milliseconds. */
const TRUSTED_FOR = 1000;
const MAX_KNOWN = 10_000;

interface KnownToken {
  readonly stored: StoredToken | undefined;
  readonly readAt: number;
}

/** Tokens in directory `path`. */
export function openTokens(path: string): Tokens {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const known = new Map<string, KnownToken>();
  const fileOf = (id: string): string => join(path, `${id}.json`);
  const find = (id: string): StoredToken | undefined => {
    const now = performance.now();
    const found = known.get(id);
    if (found !== undefined && now - found.readAt < TRUSTED_FOR) return found.stored;
    const stored = readToken(fileOf(id));
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(id, { stored, readAt: now });
    return stored;
  };
  const list = (): readonly StoredToken[] =>
    readdirSync(path)
      .filter((name) => name.endsWith(".json"))
      .flatMap((name) => readToken(join(path, name)) ?? []);
  return {
    async create(grant) {
      const id = randomBytes(8).toString("hex");
      const secret = randomBytes(32).toString("base64url");
      const stored = storedToken(id, secret, grant);
      await writeFileWhole(fileOf(id), `${JSON.stringify(stored, undefined, 2)}\n`);
      return { token: `varve_${id}_${secret}`, stored };
    },
    list,
    async revoke(id) {
      const stored = /^[0-9a-f]{16}$/.test(id) ? readToken(fileOf(id)) : undefined;
      if (stored === undefined) return false;
      const revoked: StoredToken = { ...stored, revokedAt: stored.revokedAt ?? new Date().toISOString() };
      await writeFileWhole(fileOf(id), `${JSON.stringify(revoked, undefined, 2)}\n`);
      known.delete(id);
      return true;
    },
    authenticate: (token) => authenticate(token, find),
    async sweep() {
      const over = list().filter((each) => each.source === "exchange" && isOver(each.expiresAt));
      await Promise.all(over.map(({ id }) => rm(fileOf(id), { force: true })));
    },
  };
}

function storedToken(id: string, secret: string, grant: TokenGrant): StoredToken {
  const { principal, lane, readChain, actions, lifetime, source } = grant;
  const now = Date.now();
  return {
    id,
    hash: createHash("sha256").update(secret).digest("hex"),
    principal,
    lane: lane === undefined ? null : parseLane(lane),
    readChain: checkReadChain(readChain, lane),
    actions,
    createdAt: new Date(now).toISOString(),
    expiresAt: lifetime === undefined ? null : new Date(now + lifetime).toISOString(),
    revokedAt: null,
    source,
  };
}

function readToken(path: string): StoredToken | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as StoredToken;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function authenticate(token: string, find: (id: string) => StoredToken | undefined): Principal {
  const [, id, secret] = TOKEN.exec(token) ?? [];
  const stored = id === undefined ? undefined : find(id);
  // Compared even where there is no such token, so that time does not tell.
  const isRight = equalHashes(secret ?? "", stored?.hash ?? "0".repeat(64));
  if (stored === undefined || !isRight || stored.revokedAt !== null || isOver(stored.expiresAt))
    throw new ServerError("TOKEN_INVALID", "Cannot use the token: it is unknown, expired or revoked", {
      hint: "Set VARVE_CACHE_TOKEN to a token of this server",
    });
  return {
    name: stored.principal,
    lane: stored.lane ?? undefined,
    readChain: stored.readChain,
    actions: stored.actions,
    tokenId: stored.id,
    expiresAt: stored.expiresAt === null ? undefined : Date.parse(stored.expiresAt),
  };
}

function equalHashes(secret: string, hash: string): boolean {
  return timingSafeEqual(createHash("sha256").update(secret).digest(), Buffer.from(hash, "hex"));
}

function isOver(expiresAt: string | null): boolean {
  return expiresAt !== null && Date.parse(expiresAt) <= Date.now();
}
