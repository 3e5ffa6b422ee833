import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { extname, join } from "node:path";
import type { RunOptions } from "../runner.ts";
import { runProcess } from "./run-process.ts";
import { encodeRuntimeConfig, type RuntimeConfig } from "./runtime-config.ts";
import { concludeFailure, type StartFailure } from "./start-failure.ts";

/** What to run varve's init program with. */
export interface InitRun {
  readonly config: RuntimeConfig;
  readonly options: RunOptions;
  /** Directories of the cgroup that keeps the process from devices; without it, none works that it makes. */
  readonly cgroup: readonly string[];
  /** The program before it that makes namespaces, with its arguments; none: it runs as it is. */
  readonly prefix: readonly string[];
  readonly afterExit?: () => void;
  /** Where `prefix` waits for the process: as `ProcessOptions` has it. */
  readonly signalled?: "program" | "children";
}

/** Runs varve's init program, which becomes the process. @throws StepError as `Runner.run`. */
export async function runInit(run: InitRun): Promise<{ readonly exitCode: number }> {
  const { options } = run;
  const [configFile, failureFile] = [join(options.scratch, "config.json"), join(options.scratch, "failure.json")];
  writeFileSync(configFile, encodeRuntimeConfig(run.config), { mode: 0o600 });
  const init = join(import.meta.dirname, `init${extname(import.meta.filename)}`);
  const line: readonly string[] = [...run.prefix, process.execPath, init, configFile, ...run.cgroup];
  const [program = process.execPath, ...args] = line;
  using failure = openFailure(failureFile, run.prefix);
  const exitCode = await runProcess(program, args, {
    signal: options.signal,
    onOutput: options.onOutput,
    files: [failure.file],
    ...(options.attachment === undefined ? {} : { attachment: options.attachment }),
    ...(run.signalled === undefined ? {} : { signalled: run.signalled }),
    ...(run.afterExit === undefined ? {} : { afterExit: run.afterExit }),
  });
  const text = exitCode === 0 ? "" : readFileSync(failureFile, "utf8");
  return text === "" ? { exitCode } : concludeFailure(JSON.parse(text) as StartFailure, options.onOutput);
}

/** The file in which init tells why it does not become the process. It is emptied by init when that begins. */
function openFailure(path: string, prefix: readonly string[]): Disposable & { readonly file: number } {
  const early: StartFailure = { kind: "runner", message: `${prefix[0] ?? "init"} failed before the process began` };
  const file = openSync(path, "w", 0o600);
  writeSync(file, JSON.stringify(early));
  return { file, [Symbol.dispose]: () => closeSync(file) };
}
