import { CacheError } from "./errors.ts";

/** Keeps the faults of one remote cache away from a build. */
export interface Guard {
  /** What `task` gives; undefined where it fails, or where the cache is left alone for now. */
  attempt<T>(task: () => Promise<T>): Promise<T | undefined>;
  /** Tells of a fault that came up elsewhere. `fatal`: the cache is not asked again for a while. */
  report(error: unknown, options?: { readonly fatal?: boolean }): void;
  /** True while the cache is left alone. */
  isOpen(): boolean;
  readonly faults: number;
}

export interface GuardOptions {
  readonly name: string;
  /** Told once, of the first fault that counts. */
  readonly onWarning: (message: string) => void;
  /** Milliseconds since some moment; for tests. */
  readonly now?: () => number;
}

/** Faults in a row after which a cache is left alone, and for how long: milliseconds. */
const MOST_FAULTS = 3;
const REST = 30_000;

/**
 * A circuit breaker: after three faults in a row the cache is not asked for 30 s, then by one task; if that one
 * succeeds the cache is as good as before.
 */
export function createGuard({ name, onWarning, now = () => performance.now() }: GuardOptions): Guard {
  let [row, all, until, probing, warned] = [0, 0, 0, false, false];
  const isOpen = (): boolean => row >= MOST_FAULTS && (probing || now() < until);
  const fail = (error: unknown, fatal: boolean): void => {
    all += 1;
    row = fatal ? Math.max(row + 1, MOST_FAULTS) : row + 1;
    if (row >= MOST_FAULTS) until = now() + REST;
    if (!warned) onWarning(`Cache ${name} fails, and the build goes on without it: ${messageOf(error)}`);
    warned = true;
  };
  return {
    isOpen,
    get faults() {
      return all;
    },
    report: (error, { fatal = false } = {}) => fail(error, fatal),
    async attempt(task) {
      if (isOpen()) return undefined;
      const isProbe = row >= MOST_FAULTS;
      probing = isProbe;
      try {
        const value = await task();
        row = 0;
        return value;
      } catch (error) {
        fail(error, isHopeless(error));
        return undefined;
      } finally {
        if (isProbe) probing = false;
      }
    },
  };
}

/** Nothing is gained by asking again what does not answer, or can't be trusted. */
function isHopeless(error: unknown): boolean {
  return error instanceof CacheError && ["REMOTE_TIMEOUT", "REMOTE_UNTRUSTED"].includes(error.code);
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const hint = error instanceof CacheError ? error.hint : undefined;
  return hint === undefined ? error.message : `${error.message}; ${hint}`;
}
