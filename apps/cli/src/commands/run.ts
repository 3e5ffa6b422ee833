import { openLocalStore } from "@varve/cache";
import { type Attachment, runImage } from "@varve/executor";
import type { Command } from "../command.ts";
import { UsageError } from "../errors.ts";
import type { Flag, Parsed } from "../flags.ts";
import { PLATFORM_FLAG, platformOf, STORE_FLAG } from "../image-flags.ts";
import { findImageFor } from "../places/open-place.ts";
import { formatError } from "../print-error.ts";
import { createProgress } from "../progress/create-progress.ts";
import { createImageCommand } from "../run-settings.ts";
import { storePath } from "../store-path.ts";

/** Of `docker run`: varve does so anyway, or has no part of it. */
const IGNORED: readonly Flag[] = [
  { name: "rm", description: "Accepted: nothing stays of a run" },
  { name: "name", value: "NAME", description: "Accepted: runs have no names" },
  { name: "publish", short: "p", value: "PORTS", list: true, description: "Accepted: the network is the machine's" },
  { name: "publish-all", short: "P", description: "Accepted: the network is the machine's" },
  { name: "init", hidden: true, description: "Accepted" },
  { name: "pull", value: "WHEN", hidden: true, description: "Accepted: what the store lacks is pulled" },
  { name: "label", short: "l", value: "LABEL", list: true, hidden: true, description: "Accepted" },
  { name: "attach", short: "a", value: "STREAM", list: true, hidden: true, description: "Accepted" },
  { name: "sig-proxy", hidden: true, description: "Accepted" },
];

/** `varve run`. */
export const runImageCommand: Command = {
  usage: "[OPTIONS] IMAGE [COMMAND [ARGUMENT…]]",
  description:
    "Runs a command in an image, with docker run's flags. What it writes goes to a layer of its own that is gone afterwards; the network is the machine's. The exit code is the command's; 125 where varve could not start it, 126 and 127 as shells have them.",
  flags: [
    STORE_FLAG,
    PLATFORM_FLAG,
    { name: "env", short: "e", value: "NAME[=VALUE]", list: true, description: "Set a variable, or hand one on" },
    { name: "env-file", value: "FILE", list: true, description: "Read variables from a file" },
    {
      name: "volume",
      short: "v",
      value: "PATH:TARGET[:ro]",
      list: true,
      description: "Show a directory or file of this machine",
    },
    { name: "mount", value: "type=bind|tmpfs,…", list: true, description: "The same in docker's longer form" },
    { name: "tmpfs", value: "TARGET", list: true, description: "A file system in memory" },
    { name: "workdir", short: "w", value: "PATH", description: "Directory to start in" },
    { name: "user", short: "u", value: "USER[:GROUP]", description: "User to run as" },
    { name: "entrypoint", value: "PROGRAM", description: "Program that the words behind the image are handed to" },
    { name: "interactive", short: "i", description: "Hand standard input on" },
    { name: "tty", short: "t", description: "Give it the terminal, where there is one" },
    { name: "read-only", description: "Let it write to mounts only" },
    { name: "network", value: "MODE", description: "host (default) or none" },
    { name: "net", value: "MODE", hidden: true, description: "The same as network" },
    { name: "hostname", short: "h", value: "NAME", description: "Its host name; the machine's by default" },
    { name: "add-host", value: "NAME:ADDRESS", list: true, description: "Add a line to /etc/hosts" },
    { name: "device", value: "PATH", list: true, description: "Show a device of this machine" },
    { name: "privileged", description: "Give it all capabilities and devices" },
    { name: "shm-size", value: "BYTES", description: "Size of /dev/shm" },
    { name: "ulimit", value: "NAME=SOFT[:HARD]", list: true, description: "Resource limit" },
    { name: "runner", value: "NAME", description: "auto (default), runc, crun, unshare or chroot" },
    { name: "snapshotter", value: "NAME", description: "auto (default), overlay or copy" },
    { name: "detach", short: "d", hidden: true, description: "Refused: nothing runs behind varve" },
    ...IGNORED,
  ],
  examples: [
    "varve run --rm -it app:1 sh",
    "varve run -v $PWD:/src -w /src -e CI node:24 npm test",
    "varve run $(varve build -q .)",
  ],
  entersNamespace: true,
  startsProgram: true,
  handlesSignals: true,
  async run(flags) {
    const [text, ...words] = flags.positionals;
    if (text === undefined) throw new UsageError("Cannot run: IMAGE was not given", "Write varve run IMAGE [COMMAND]");
    checkFlags(flags);
    try {
      return await runIn(text, words, flags);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      process.stderr.write(`${formatError(error, undefined)}\n`);
      return FAILED;
    }
  },
};

/** As docker run has it. */
const FAILED = 125;

function checkFlags(flags: Parsed): void {
  if (flags.is("detach"))
    throw new UsageError(
      "Cannot run in the background: varve has no daemon",
      "Leave --detach out, and use the shell's &",
    );
  oneOf(flags, "runner", ["auto", "runc", "crun", "unshare", "chroot"]);
  oneOf(flags, "snapshotter", ["auto", "overlay", "copy"]);
}

function oneOf<T extends string>(flags: Parsed, name: string, words: readonly [T, ...T[]]): T {
  const value = flags.value(name);
  if (value === undefined) return words[0];
  const word = words.find((each) => each === value);
  if (word !== undefined) return word;
  throw new UsageError(`Cannot use --${name} "${value}": wanted ${words.join(", ")}`);
}

async function runIn(text: string, words: readonly string[], flags: Parsed): Promise<number> {
  using signals = forwardSignals();
  const { signal } = signals;
  await using store = await openLocalStore(storePath(flags.value("store")));
  const { image } = await findImageFor(text, { store, signal, platform: platformOf(flags) });
  const command = createImageCommand(flags, words, image.config);
  const progress = createProgress("auto");
  const { exitCode } = await runImage(image, command, {
    store,
    signal,
    onEvent: (event) => progress.onEvent(event),
    runner: oneOf(flags, "runner", ["auto", "runc", "crun", "unshare", "chroot"]),
    snapshotter: oneOf(flags, "snapshotter", ["auto", "overlay", "copy"]),
    attachment: {
      input: flags.is("interactive") ? "standard" : "none",
      terminal: flags.is("tty") && process.stdin.isTTY && process.stdout.isTTY,
      onStart(send) {
        progress.end();
        signals.onStart(send);
      },
    },
  });
  progress.end();
  return exitCode;
}

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

interface ForwardedSignals extends Pick<Attachment, "onStart">, Disposable {
  /** Fires for a signal before there is a process that could have it. */
  readonly signal: AbortSignal;
}

/** Hands signals on to the process; its end is ours. */
function forwardSignals(): ForwardedSignals {
  const controller = new AbortController();
  let send: ((signal: NodeJS.Signals) => void) | undefined;
  const forward = (signal: NodeJS.Signals): void => {
    if (send === undefined) controller.abort(new Error("cancelled"));
    else send(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return {
    signal: controller.signal,
    onStart: (start) => void (send = start),
    [Symbol.dispose]() {
      for (const signal of FORWARDED) process.off(signal, forward);
    },
  };
}
