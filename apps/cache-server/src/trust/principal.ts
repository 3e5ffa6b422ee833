import type { Lane } from "@varve/cache";
import { ServerError } from "../errors.ts";

/** What a token may do besides reading. */
export type Action = "write" | "replace" | "admin";

/** Who asks, and what he may. */
export interface Principal {
  readonly name: string;
  /** Where it writes; undefined for one that only reads. */
  readonly lane: Lane | undefined;
  /** Where it reads: the write lane first, then more trusted ones. */
  readonly readChain: readonly Lane[];
  readonly actions: readonly Action[];
  /** Of the token it came with; undefined for an anonymous one. */
  readonly tokenId: string | undefined;
  /** Milliseconds since 1970; undefined for a token without end. */
  readonly expiresAt: number | undefined;
}

/**
 * The lane that a principal writes to.
 * @throws ServerError `FORBIDDEN` for one that only reads.
 */
export function writeLaneOf({ name, lane, actions }: Principal): Lane {
  if (lane !== undefined && actions.includes("write")) return lane;
  throw new ServerError("FORBIDDEN", `Cannot write as "${name}": its token only reads`, {
    hint: "Use a token with a write lane, or build with --cache-upload=none",
  });
}

/**
 * Refuses a principal without `action`.
 * @throws ServerError `FORBIDDEN`.
 */
export function checkAction({ name, actions }: Principal, action: Action): void {
  if (actions.includes(action)) return;
  throw new ServerError("FORBIDDEN", `Cannot do this as "${name}": its token lacks the action "${action}"`);
}
