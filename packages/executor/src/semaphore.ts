/** Lets at most `limit` tasks run at once; the others wait in the order they came. */
export interface Semaphore {
  /** Runs `task` when there is room; its result or error is passed on. */
  run<T>(task: () => Promise<T>): Promise<T>;
}

/** A semaphore with room for `limit` tasks (at least 1). */
export function createSemaphore(limit: number): Semaphore {
  const waiting: (() => void)[] = [];
  let free = Math.max(1, limit);
  const enter = async (): Promise<void> => {
    if (free > 0) {
      free -= 1;
      return;
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return {
    async run(task) {
      await enter();
      try {
        return await task();
      } finally {
        leave();
      }
    },
  };
}
