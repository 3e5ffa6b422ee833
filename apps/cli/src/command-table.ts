import type { CommandEntry } from "./command.ts";

/** All commands, in the order in which `varve help` lists them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "build",
    summary: "Build an image from a Dockerfile",
    load: async () => (await import("./commands/build.ts")).buildCommand,
  },
  {
    name: "images",
    summary: "List the images in the store",
    load: async () => (await import("./commands/images.ts")).imagesCommand,
  },
  {
    name: "cache du",
    summary: "Say how much the store takes, and for what",
    load: async () => (await import("./commands/cache-du.ts")).cacheDuCommand,
  },
  {
    name: "cache verify",
    summary: "Read every blob of the store, and name those that are damaged",
    load: async () => (await import("./commands/cache-verify.ts")).cacheVerifyCommand,
  },
  {
    name: "doctor",
    summary: "Say what works on this machine, and why not",
    load: async () => (await import("./commands/doctor.ts")).doctorCommand,
  },
];

/** The command that `argv` begins with, and what stands behind its name; undefined where there is none. */
export function findCommand(
  argv: readonly string[],
): { readonly entry: CommandEntry; readonly rest: readonly string[] } | undefined {
  for (const length of [2, 1]) {
    const name = argv.slice(0, length).join(" ");
    const entry = argv.length < length ? undefined : COMMANDS.find((each) => each.name === name);
    if (entry !== undefined) return { entry, rest: argv.slice(length) };
  }
  return undefined;
}
