import { useEffect, useState } from "preact/hooks";
import { AnswerError, fetchJson } from "./fetch-json.js";

/** Milliseconds between two looks. */
const INTERVAL = 5000;

export interface Polled<T> {
  /** The last answer, kept while later ones fail. */
  readonly value: T | undefined;
  readonly error: AnswerError | undefined;
  readonly reload: () => void;
}

/** The answer at `path`, asked for again and again while the page is seen. */
export function usePolled<T>(path: string): Polled<T> {
  const [state, setState] = useState<Omit<Polled<T>, "reload">>({ value: undefined, error: undefined });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let isOver = false;
    const load = async (): Promise<void> => {
      try {
        const value = await fetchJson<T>(path);
        if (!isOver) setState({ value, error: undefined });
      } catch (error) {
        const told = error instanceof AnswerError ? error : new AnswerError(String(error), 0);
        if (!isOver) setState(({ value }) => ({ value, error: told }));
      }
    };
    void load();
    const timer = setInterval(() => {
      if (!document.hidden) void load();
    }, INTERVAL);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, [path, round]);
  return { ...state, reload: () => setRound((count) => count + 1) };
}
