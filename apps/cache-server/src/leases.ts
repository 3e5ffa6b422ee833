import { randomBytes } from "node:crypto";
import type { CacheKey, Lane } from "@varve/cache";

/** Who builds what now. Leases are advice: what decides is that the first record wins. */
export interface Leases {
  /** The lease on a key in a lane, or the one that someone holds. */
  acquire(lane: Lane, key: CacheKey, wanted: { readonly ttl: number; readonly holder: string }): Acquired;
  /** When it then ends, in ms since 1970; undefined where it is lost. */
  extend(lane: Lane, key: CacheKey, renewal: { readonly token: string; readonly ttl: number }): number | undefined;
  /** Gives a lease back; harmless where it is lost. */
  release(lane: Lane, key: CacheKey, token: string): void;
  held(lane: Lane, key: CacheKey): HeldLease | undefined;
  /** Waits until something happens to the key, in any lane, or `signal` is aborted. */
  wait(key: CacheKey, signal: AbortSignal): Promise<void>;
  /** Wakes all who wait for the key. */
  notify(key: CacheKey): void;
  /** How many are held. */
  count(): number;
  /** How many wait. */
  waiting(): number;
}

/** What asking for a lease came to. */
export type Acquired =
  | { readonly granted: true; readonly token: string; readonly fence: number }
  | ({ readonly granted: false } & HeldLease);

/** A lease as others see it. Times in ms since 1970. */
export interface HeldLease {
  readonly holder: string;
  readonly since: number;
  readonly expiresAt: number;
}

interface Lease extends HeldLease {
  readonly token: string;
  readonly timer: NodeJS.Timeout;
}

/** Leases of this process; they end with it. */
export function createLeases(): Leases {
  const leases = new Map<string, Lease>();
  const waiters = new Map<CacheKey, Set<() => void>>();
  let fence = Date.now();
  const place = (lane: Lane, key: CacheKey): string => `${key}/${lane}`;
  const notify = (key: CacheKey): void => {
    for (const wake of waiters.get(key) ?? []) wake();
  };
  const end = (lane: Lane, key: CacheKey): void => {
    clearTimeout(leases.get(place(lane, key))?.timer);
    leases.delete(place(lane, key));
    notify(key);
  };
  const expire = (lane: Lane, key: CacheKey, ttl: number): NodeJS.Timeout =>
    setTimeout(() => end(lane, key), ttl).unref();
  return {
    acquire(lane, key, { ttl, holder }) {
      const held = leases.get(place(lane, key));
      if (held !== undefined) return { granted: false, ...visible(held) };
      const token = randomBytes(18).toString("base64url");
      const since = Date.now();
      leases.set(place(lane, key), { token, holder, since, expiresAt: since + ttl, timer: expire(lane, key, ttl) });
      return { granted: true, token, fence: (fence += 1) };
    },
    extend(lane, key, { token, ttl }) {
      const held = leases.get(place(lane, key));
      if (held?.token !== token) return undefined;
      clearTimeout(held.timer);
      const expiresAt = Date.now() + ttl;
      leases.set(place(lane, key), { ...held, expiresAt, timer: expire(lane, key, ttl) });
      return expiresAt;
    },
    release(lane, key, token) {
      if (leases.get(place(lane, key))?.token === token) end(lane, key);
    },
    held(lane, key) {
      const held = leases.get(place(lane, key));
      return held === undefined ? undefined : visible(held);
    },
    wait: (key, signal) => waitFor(waiters, key, signal),
    notify,
    count: () => leases.size,
    waiting: () => [...waiters.values()].reduce((sum, each) => sum + each.size, 0),
  };
}

function visible({ holder, since, expiresAt }: Lease): HeldLease {
  return { holder, since, expiresAt };
}

function waitFor(waiters: Map<CacheKey, Set<() => void>>, key: CacheKey, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const waiting = waiters.get(key) ?? new Set();
    waiters.set(key, waiting);
    const wake = (): void => {
      waiting.delete(wake);
      if (waiting.size === 0 && waiters.get(key) === waiting) waiters.delete(key);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    waiting.add(wake);
    if (signal.aborted) wake();
    else signal.addEventListener("abort", wake, { once: true });
  });
}
