import { UsageError } from "../errors.ts";
import { createJsonProgress } from "./json.ts";
import { createPlainProgress } from "./plain.ts";
import type { Progress } from "./progress.ts";
import { createTtyProgress } from "./tty.ts";

const MODES = ["auto", "tty", "plain", "json", "quiet", "rawjson"];

/** A display of this mode on standard error; `auto`: tty on a terminal, else plain. @throws UsageError */
export function createProgress(mode: string): Progress {
  if (!MODES.includes(mode))
    throw new UsageError(`Cannot show progress as "${mode}": wanted auto, tty, plain, json or quiet`);
  const write = (text: string): void => void process.stderr.write(text);
  if (mode === "quiet") return { onEvent: () => undefined, note: () => undefined, end: () => undefined };
  if (mode === "json" || mode === "rawjson") return createJsonProgress({ write });
  const isTerminal = process.stderr.isTTY;
  if (mode === "plain" || (mode === "auto" && !isTerminal)) return createPlainProgress({ write });
  const colors = (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb";
  return createTtyProgress({
    write,
    colors,
    get columns() {
      return process.stderr.columns ?? 80;
    },
  });
}
