import { formatFlags } from "./flags.ts";

const HELP = `varve builds container images from Dockerfiles: incrementally, without a daemon.

usage: varve COMMAND [OPTIONS]

commands:
  build PATH      Build an image from a Dockerfile
  doctor          Say what works on this machine, and why not
  help            Show this

varve build --help lists the options of build.
`;

/** Runs the command line and sets the exit code: 0 done, 1 failed, 2 wrong usage, 130 cancelled. */
export async function main(argv: readonly string[]): Promise<void> {
  const [command, ...rest] = argv;
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new Error("cancelled"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  process.exitCode = await runCommand(command, rest, controller.signal);
  process.off("SIGINT", onSignal);
  process.off("SIGTERM", onSignal);
}

async function runCommand(command: string | undefined, argv: readonly string[], signal: AbortSignal): Promise<number> {
  switch (command) {
    case "build":
      if (argv.includes("--help") || argv.includes("-h")) return showBuildHelp();
      return buildOrEnter(argv, signal);
    case "doctor":
      return (await import("./commands/doctor.ts")).runDoctor(argv);
    case "help":
    case "--help":
    case "-h":
      process.stdout.write(HELP);
      return 0;
    case "--version":
    case "version":
      process.stdout.write(`varve ${(await import("./version.ts")).VERSION}\n`);
      return 0;
    case undefined:
    default:
      return refuseCommand(command);
  }
}

async function refuseCommand(command: string | undefined): Promise<number> {
  const { nearest } = await import("@varve/dockerfile");
  const near = command === undefined ? undefined : nearest(command, ["build", "doctor", "help"]);
  const problem = command === undefined ? "no command was given" : `there is no command "${command}"`;
  const hint = near === undefined ? "" : `hint: Did you mean ${near}?\n`;
  process.stderr.write(`error USAGE: Cannot run: ${problem}\n${hint}\n${HELP}`);
  return 2;
}

async function buildOrEnter(argv: readonly string[], signal: AbortSignal): Promise<number> {
  if (process.getuid?.() !== 0) {
    const { runInNamespace } = await import("./enter-namespace.ts");
    const code = await runInNamespace((message) => process.stderr.write(`WARNING ${message}\n`));
    if (code !== undefined) return code;
  }
  return (await import("./commands/build.ts")).runBuild(argv, signal);
}

async function showBuildHelp(): Promise<number> {
  const { BUILD_FLAGS } = await import("./build-flags.ts");
  process.stdout
    .write(`usage: varve build [OPTIONS] PATH\n\nBuilds an image from a Dockerfile. Without --tag and --output it stays in the store.\n\noptions:\n${formatFlags(BUILD_FLAGS)}\n
examples:
  varve build -t app:1 .
  varve build --push -t registry.example.com/team/app:1 .
  varve build -o type=oci,dest=app.tar --target test .
`);
  return 0;
}
