import { UsageError } from "../errors.ts";
import { createBlockProgress } from "./blocks.ts";
import { githubFormat, gitlabFormat } from "./ci-formats.ts";
import { createJsonProgress } from "./json.ts";
import { createPlainProgress } from "./plain.ts";
import type { Progress, Screen } from "./progress.ts";
import { createRawJsonProgress } from "./raw-json.ts";
import { createTtyProgress } from "./tty.ts";

const MODES = ["auto", "tty", "plain", "json", "quiet", "rawjson"];

/** Of a terminal that does not say how large it is. */
const UNKNOWN_SIZE = { columns: 80, rows: 24 };

/**
 * A display of this mode on standard error; `auto`: tty on a terminal, blocks in GitHub Actions and GitLab CI, else
 * plain.
 * @throws UsageError
 */
export function createProgress(mode: string): Progress {
  if (!MODES.includes(mode))
    throw new UsageError(`Cannot show progress as "${mode}": wanted auto, tty, plain, json, rawjson or quiet`);
  const screen = { write: (text: string): void => void process.stderr.write(text) };
  switch (mode === "auto" ? chooseMode(process.env, process.stderr.isTTY) : mode) {
    case "quiet":
      return { onEvent: () => undefined, note: () => undefined, end: () => undefined };
    case "json":
      return createJsonProgress(screen);
    case "rawjson":
      return createRawJsonProgress(screen);
    case "tty":
      return endAtExit(createTtyProgress(terminal(screen.write)));
    case "github":
      return createBlockProgress(screen, githubFormat(process.env["GITHUB_WORKSPACE"] ?? process.cwd()));
    case "gitlab":
      return createBlockProgress(screen, gitlabFormat());
    default:
      return createPlainProgress(screen);
  }
}

/** What `auto` comes to. A terminal that knows no cursor movements gets plain lines. */
export function chooseMode(
  env: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): "tty" | "github" | "gitlab" | "plain" {
  if (isTerminal) return env["TERM"] === "dumb" ? "plain" : "tty";
  if (env["GITHUB_ACTIONS"] === "true") return "github";
  return env["GITLAB_CI"] === "true" ? "gitlab" : "plain";
}

function terminal(write: (text: string) => void): Screen {
  return {
    write,
    colors: (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb",
    get columns() {
      return process.stderr.columns ?? UNKNOWN_SIZE.columns;
    },
    get rows() {
      return process.stderr.rows ?? UNKNOWN_SIZE.rows;
    },
  };
}

/** However the process ends, the terminal gets its cursor back. */
function endAtExit(progress: Progress): Progress {
  process.once("exit", () => progress.end());
  return progress;
}
