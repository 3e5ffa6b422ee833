import type { Command } from "./command.ts";
import { COMMANDS, findCommand } from "./command-table.ts";
import { withStore } from "./config/with-store.ts";
import { formatHelp, formatOverview } from "./format-help.ts";
import { parseFlags } from "./flags.ts";

/** Runs the command line and sets the exit code: 0 done, 1 failed, 2 wrong usage, 130 cancelled. */
export async function main(argv: readonly string[]): Promise<void> {
  using interruption = listenToSignals();
  process.exitCode = await runCommand(argv, interruption);
}

/** Signals of the user; disposed of, they are nobody's again. */
interface Interruption extends Disposable {
  readonly signal: AbortSignal;
}

function listenToSignals(): Interruption {
  const controller = new AbortController();
  const onHangUp = (): void => controller.abort(new Error("cancelled"));
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new Error("cancelled"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  process.on("SIGHUP", onHangUp);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
      process.off("SIGHUP", onHangUp);
    },
  };
}

async function runCommand(argv: readonly string[], interruption: Interruption): Promise<number> {
  const [word, ...rest] = argv;
  switch (word) {
    case "help":
      return rest.length === 0 ? print(formatOverview(COMMANDS)) : runCommand([...rest, "--help"], interruption);
    case "--help":
    case "-h":
      return print(formatOverview(COMMANDS));
    case "--version":
    case "version":
      return print(`varve ${(await import("./version.ts")).VERSION}\n`);
    case undefined:
    default:
      return runNamed(argv, interruption);
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

async function runNamed(argv: readonly string[], interruption: Interruption): Promise<number> {
  const found = findCommand(argv);
  if (found === undefined) return refuse(argv);
  const { entry, rest } = found;
  const command = await entry.load();
  const { signal } = interruption;
  const asked = command.startsProgram === true ? ["--help"] : ["--help", "-h"];
  if (ownWords(rest, command).some((word) => asked.includes(word))) return print(formatHelp(entry.name, command));
  try {
    const words = parseFlags(rest, command.flags, command.startsProgram === true ? "first" : "anywhere");
    const flags = withStore(words, command.flags);
    const code = command.entersNamespace === true ? await enterNamespace() : undefined;
    if (code !== undefined) return code;
    if (command.handlesSignals === true) interruption[Symbol.dispose]();
    return await command.run(flags, signal);
  } catch (error) {
    const { exitCodeOf, formatError } = await import("./print-error.ts");
    process.stderr.write(`${formatError(error, undefined)}\n`);
    return signal.aborted ? 130 : exitCodeOf(error);
  }
}

/** The words that are not another program's for certain. */
function ownWords(rest: readonly string[], { startsProgram }: Command): readonly string[] {
  const end = rest.findIndex((word) => word === "--" || (startsProgram === true && !word.startsWith("-")));
  return end < 0 ? rest : rest.slice(0, end);
}

/** The exit code of this command line where it ran in a namespace; undefined where it is to be run here. */
async function enterNamespace(): Promise<number | undefined> {
  if (process.getuid?.() === 0) return undefined;
  const { runInNamespace } = await import("./enter-namespace.ts");
  return runInNamespace((message) => process.stderr.write(`WARNING ${message}\n`));
}

async function refuse(argv: readonly string[]): Promise<number> {
  const { nearest } = await import("@varve/dockerfile");
  const [word] = argv;
  const below = COMMANDS.filter(({ name }) => name.startsWith(`${word} `)).map(({ name }) => name.split(" ")[1] ?? "");
  const typed = below.length === 0 ? word : argv[1];
  const names = below.length === 0 ? [...COMMANDS.map(({ name }) => name.split(" ")[0] ?? ""), "help"] : below;
  const near = typed === undefined ? undefined : nearest(typed, names);
  const prefix = below.length === 0 ? "" : `${word} `;
  const problem =
    typed === undefined
      ? `no command was given${below.length === 0 ? "" : `; wanted ${prefix}${below.join(` or ${prefix}`)}`}`
      : `there is no command "${prefix}${typed}"`;
  const hint = near === undefined ? "" : `hint: Did you mean ${prefix}${near}?\n`;
  process.stderr.write(`error USAGE: Cannot run: ${problem}\n${hint}\n${formatOverview(COMMANDS)}`);
  return 2;
}
