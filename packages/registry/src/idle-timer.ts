/** Ends a transfer that stands still. Disposed of when the transfer is over: whoever still gives it content can't start it. */
export interface IdleTimer extends Disposable {
  /** Aborted, with an error that says so, once the other side did nothing for the limit. */
  readonly signal: AbortSignal;
  /** From now on the other side is waited for, this long at most: milliseconds. */
  start(limit?: number): void;
  /** The other side is not waited for. */
  stop(): void;
}

/** A minute in which no byte moves: nothing will. */
const LIMIT = 60_000;

/** A timer that stands. */
export function createIdleTimer(): IdleTimer {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const stop = (): void => clearTimeout(timer);
  return {
    signal: controller.signal,
    stop,
    start(limit = LIMIT) {
      stop();
      if (isOver) return;
      const error = Object.assign(new Error(`nothing moved for ${limit / 1000} s`), { code: "ETIMEDOUT" });
      timer = setTimeout(() => controller.abort(error), limit);
    },
    [Symbol.dispose]() {
      isOver = true;
      stop();
    },
  };
}
