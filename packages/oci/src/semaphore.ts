/** Lets so many tasks run at once; the others wait, first come, first served. */
export interface Semaphore {
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Takes a place when there is one; the function gives it back, once. */
  acquire(): Promise<() => void>;
}

/** A semaphore with `places` places; at least 1. */
export function createSemaphore(places: number): Semaphore {
  const waiting: (() => void)[] = [];
  let free = Math.max(1, places);
  const acquire = async (): Promise<() => void> => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    };
  };
  return {
    acquire,
    async run(task) {
      const release = await acquire();
      try {
        return await task();
      } finally {
        release();
      }
    },
  };
}
