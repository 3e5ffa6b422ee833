import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { BUILD_FLAGS } from "../build-flags.ts";
import { toArguments } from "../config/options.ts";
import { UsageError } from "../errors.ts";
import { parseFlags } from "../flags.ts";
import { isStreamed, parseOutputs } from "../outputs.ts";
import { BuildError, type BuildErrorPlace } from "./build-error.ts";
import type { BuildEvent } from "./build-event.ts";
import type { BuildOptions } from "./build-options.ts";

/** What was built. Digests are `sha256:` and 64 hex digits. */
export interface BuildResult {
  /** The image's ID, as Docker has it: the digest of its config; of several platforms, of their index. */
  readonly id: string;
  /** Of the manifest, or of the index of several platforms: what a registry knows the image by. */
  readonly digest: string;
  readonly descriptor: { readonly mediaType: string; readonly digest: string; readonly size: number };
  /** With registry and tag: `docker.io/library/app:1`. */
  readonly names: readonly string[];
  readonly platforms: readonly string[];
  /** Where the image is now, in words: the store, archives, registries. */
  readonly places: readonly string[];
  /** Steps that make a layer: all, those found in a cache, those that ran. */
  readonly steps: number;
  readonly cached: number;
  readonly ran: number;
  /** Of the cached ones: those that came from another cache than the store, and those that another builder made meanwhile. */
  readonly remote: number;
  readonly waited: number;
  /** What the cached ones took when they ran, in milliseconds, and the bytes of their layers. */
  readonly savedTime: number;
  readonly savedBytes: number;
  /** Milliseconds. */
  readonly duration: number;
  /** What went to and came from the caches of others; absent where none is named. Bytes in `transfers`. */
  readonly cache?: { readonly faults: number; readonly transfers: Readonly<Record<string, number>> };
}

const WARNING = "WARNING ";
const PROGRAM = fileURLToPath(new URL("../../bin/varve.js", import.meta.url));

/** Ends of a build, which are told by what `build()` gives or throws. */
type Ending =
  | ({ readonly type: "result" } & Omit<BuildResult, "digest">)
  | ({
      readonly type: "error";
      readonly code?: string;
      readonly message: string;
      readonly hint?: string;
    } & BuildErrorPlace);

/**
 * Builds an image from a Dockerfile, as `varve build` does, in a process of its own: so it may enter a user namespace,
 * and several builds at once share the store.
 * @throws BuildError with the codes of docs/errors.md.
 */
export async function build({ signal, onEvent, config = "none", ...options }: BuildOptions = {}): Promise<BuildResult> {
  const args = argumentsOf({ ...options });
  if (isAborted(signal)) throw cancelled();
  const child = spawn(process.execPath, [PROGRAM, "build", "--progress=json", `--config=${config}`, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  // Not SIGINT: a terminal may have sent that to the whole group, and a second one ends without cleaning up.
  const cancel = (): void => void child.kill("SIGHUP");
  signal?.addEventListener("abort", cancel, { once: true });
  const closed = once(child, "close");
  // What goes wrong is seen where it is awaited, after the output has been read.
  closed.catch(() => undefined);
  try {
    const { ending, rest } = await readEvents(child.stderr, onEvent);
    await closed;
    if (ending === undefined && isAborted(signal)) throw cancelled();
    return resultOf(ending, rest);
  } finally {
    signal?.removeEventListener("abort", cancel);
    await endOf(child, closed);
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function cancelled(): BuildError {
  return new BuildError("CANCELLED", "Cannot finish the build: it was cancelled", {});
}

/** @throws BuildError `USAGE` */
function argumentsOf(options: Readonly<Record<string, unknown>>): readonly string[] {
  try {
    const args = toArguments({ context: ".", ...options });
    const streams =
      options["context"] === "-" || options["file"] === "-" || "progress" in options || "quiet" in options;
    if (streams || parseOutputs(parseFlags(args, BUILD_FLAGS)).some(isStreamed))
      throw new UsageError(
        "Cannot build: build() reads and writes no standard streams",
        "Name a directory and files; onEvent tells the progress",
      );
    return args;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new BuildError(error.code, error.message, error.hint === undefined ? {} : { hint: error.hint });
  }
}

/** Tells all events; gives the last line where it ends the build, and lines that are no events. */
async function readEvents(
  output: Readable,
  onEvent: BuildOptions["onEvent"],
): Promise<{ readonly ending: Ending | undefined; readonly rest: readonly string[] }> {
  const rest: string[] = [];
  let ending: Ending | undefined;
  for await (const line of createInterface({ input: output })) {
    const event = line.startsWith("{") ? (JSON.parse(line) as BuildEvent | Ending) : undefined;
    if (event === undefined) {
      rest.push(line);
      // What is said before the build begins, such as that there are no subordinate ids.
      if (line.startsWith(WARNING)) onEvent?.({ type: "warning", message: line.slice(WARNING.length) });
    } else if (event.type === "result" || event.type === "error") ending = event;
    else onEvent?.(event);
  }
  return { ending, rest };
}

function resultOf(ending: Ending | undefined, rest: readonly string[]): BuildResult {
  if (ending?.type === "result") {
    const { type: _, ...result } = ending;
    return { ...result, digest: result.descriptor.digest };
  }
  if (ending === undefined)
    throw new BuildError("FAILED", `Cannot build: varve ended without a word: ${rest.join("\n")}`, {});
  const { code = "FAILED", message, hint, type: _, ...place } = ending;
  throw new BuildError(code, message, { place, ...(hint === undefined ? {} : { hint }) });
}

/** Leaves no build behind. */
async function endOf(child: ChildProcess, closed: Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.stderr?.resume();
  child.kill("SIGHUP");
  await closed;
}
