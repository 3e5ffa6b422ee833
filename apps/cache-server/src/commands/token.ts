import { join } from "node:path";
import { ServerError } from "../errors.ts";
import { parseDuration } from "../parse-duration.ts";
import { defaultReadChain, parseLane } from "../trust/lanes.ts";
import type { Action } from "../trust/principal.ts";
import { openTokens, type StoredToken, type Tokens } from "../trust/tokens.ts";

/** What `token create` was given. */
export interface CreateFlags {
  readonly data: string;
  readonly name: string;
  readonly lane: string | undefined;
  readonly read: readonly string[];
  readonly expires: string | undefined;
  readonly admin: boolean;
  readonly replace: boolean;
}

/** Makes a token and prints it, the only time that it can be read. */
export async function createToken(flags: CreateFlags): Promise<number> {
  const lane = flags.lane === undefined ? undefined : parseLane(flags.lane);
  const actions: Action[] = lane === undefined ? [] : ["write"];
  if (flags.replace) actions.push("replace");
  if (flags.admin) actions.push("admin");
  const { token } = await tokensIn(flags.data).create({
    principal: flags.name,
    lane,
    readChain: flags.read.length > 0 ? flags.read : defaultReadChain(lane ?? "main"),
    actions,
    lifetime: flags.expires === undefined ? undefined : parseDuration(flags.expires),
    source: "command",
  });
  process.stdout.write(`${token}\n`);
  return 0;
}

/** Prints a line for each token; `json`: as JSON. Secrets are not known to anyone. */
export function listTokens(data: string, format: "table" | "json"): number {
  const tokens = tokensIn(data)
    .list()
    .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt));
  if (format === "json") {
    process.stdout.write(
      `${JSON.stringify(
        tokens.map(({ hash: _, ...token }) => token),
        undefined,
        2,
      )}\n`,
    );
    return 0;
  }
  const rows = tokens.map((token) => [
    token.id,
    stateOf(token),
    token.principal,
    token.lane ?? "-",
    token.readChain.join(","),
    token.actions.join(",") || "read",
    token.expiresAt ?? "never",
  ]);
  const all = [["ID", "STATE", "NAME", "LANE", "READS", "MAY", "EXPIRES"], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of all)
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()}\n`,
    );
  return 0;
}

function stateOf({ revokedAt, expiresAt }: StoredToken): string {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && Date.parse(expiresAt) <= Date.now() ? "expired" : "valid";
}

/** Revokes tokens; a running server knows within a second. `named`: an id, or a whole token. */
export async function revokeTokens(data: string, named: readonly string[]): Promise<number> {
  const tokens = tokensIn(data);
  for (const each of named) {
    const id = /^varve_([0-9a-f]{16})_/.exec(each)?.[1] ?? each;
    if (!(await tokens.revoke(id)))
      throw new ServerError("NOT_FOUND", `Cannot revoke token "${id}": there is none`, {
        hint: "varve-cache token list shows all",
      });
    process.stdout.write(`${id}\n`);
  }
  return 0;
}

function tokensIn(data: string): Tokens {
  return openTokens(join(data, "tokens"));
}
