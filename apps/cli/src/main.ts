import { COMMANDS, findCommand } from "./command-table.ts";
import { formatHelp, formatOverview } from "./format-help.ts";
import { parseFlags } from "./flags.ts";

/** Runs the command line and sets the exit code: 0 done, 1 failed, 2 wrong usage, 130 cancelled. */
export async function main(argv: readonly string[]): Promise<void> {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new Error("cancelled"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  const onHangUp = (): void => controller.abort(new Error("cancelled"));
  process.on("SIGHUP", onHangUp);
  process.exitCode = await runCommand(argv, controller.signal);
  process.off("SIGINT", onSignal);
  process.off("SIGTERM", onSignal);
  process.off("SIGHUP", onHangUp);
}

async function runCommand(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const [word, ...rest] = argv;
  switch (word) {
    case "help":
      return rest.length === 0 ? print(formatOverview(COMMANDS)) : runCommand([...rest, "--help"], signal);
    case "--help":
    case "-h":
      return print(formatOverview(COMMANDS));
    case "--version":
    case "version":
      return print(`varve ${(await import("./version.ts")).VERSION}\n`);
    case undefined:
    default:
      return runNamed(argv, signal);
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

async function runNamed(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const found = findCommand(argv);
  if (found === undefined) return refuse(argv);
  const { entry, rest } = found;
  const command = await entry.load();
  const own = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (own.includes("--help") || own.includes("-h")) return print(formatHelp(entry.name, command));
  try {
    const flags = parseFlags(rest, command.flags);
    const code = command.entersNamespace === true ? await enterNamespace() : undefined;
    return code ?? (await command.run(flags, signal));
  } catch (error) {
    const { exitCodeOf, formatError } = await import("./print-error.ts");
    process.stderr.write(`${formatError(error, undefined)}\n`);
    return signal.aborted ? 130 : exitCodeOf(error);
  }
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
