import type { CommandEntry } from "./command.ts";

/** All commands, in the order in which `varve help` lists them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "build",
    summary: "Build an image from a Dockerfile",
    load: async () => (await import("./commands/build.ts")).buildCommand,
  },
  {
    name: "explain",
    summary: "Say which steps would be found in the cache, and why not the others",
    load: async () => (await import("./commands/explain.ts")).explainCommand,
  },
  {
    name: "init",
    summary: "Write a Dockerfile and scripts for a Node project",
    load: async () => (await import("./commands/init.ts")).initCommand,
  },
  {
    name: "images",
    summary: "List the images in the store",
    load: async () => (await import("./commands/images.ts")).imagesCommand,
  },
  {
    name: "tag",
    summary: "Give an image of the store one more name",
    load: async () => (await import("./commands/tag.ts")).tagCommand,
  },
  {
    name: "rmi",
    summary: "Take names away from images of the store",
    load: async () => (await import("./commands/rmi.ts")).rmiCommand,
  },
  {
    name: "untag",
    summary: "The same as rmi",
    load: async () => (await import("./commands/rmi.ts")).rmiCommand,
  },
  {
    name: "inspect",
    summary: "Show an image as docker inspect does",
    load: async () => (await import("./commands/inspect.ts")).inspectCommand,
  },
  {
    name: "history",
    summary: "Show the history of an image",
    load: async () => (await import("./commands/history.ts")).historyCommand,
  },
  {
    name: "layers",
    summary: "Show the layers of an image, what they take and waste",
    load: async () => (await import("./commands/layers.ts")).layersCommand,
  },
  {
    name: "diff",
    summary: "Say what two images, or layers, have differently",
    load: async () => (await import("./commands/diff.ts")).diffCommand,
  },
  {
    name: "save",
    summary: "Write images to an archive",
    load: async () => (await import("./commands/save.ts")).saveCommand,
  },
  {
    name: "load",
    summary: "Take images from an archive into the store",
    load: async () => (await import("./commands/load.ts")).loadCommand,
  },
  {
    name: "copy",
    summary: "Copy an image between any two places",
    load: async () => (await import("./commands/copy.ts")).copyCommand,
  },
  {
    name: "pull",
    summary: "Take an image from its registry into the store",
    load: async () => (await import("./commands/pull.ts")).pullCommand,
  },
  {
    name: "push",
    summary: "Push an image of the store to its registry",
    load: async () => (await import("./commands/push.ts")).pushCommand,
  },
  {
    name: "run",
    summary: "Run a command in an image",
    load: async () => (await import("./commands/run.ts")).runImageCommand,
  },
  {
    name: "mount",
    summary: "Show the files of an image in a directory",
    load: async () => (await import("./commands/mount.ts")).mountCommand,
  },
  {
    name: "umount",
    summary: "End varve mount",
    load: async () => (await import("./commands/umount.ts")).umountCommand,
  },
  {
    name: "unpack",
    summary: "Write the files of an image into a directory",
    load: async () => (await import("./commands/unpack.ts")).unpackCommand,
  },
  {
    name: "cache du",
    summary: "Say how much the store takes, and for what",
    load: async () => (await import("./commands/cache-du.ts")).cacheDuCommand,
  },
  {
    name: "cache trust",
    summary: "Forget the keys of a cache server whose keys were replaced",
    load: async () => (await import("./commands/cache-trust.ts")).cacheTrustCommand,
  },
  {
    name: "cache prune",
    summary: "Free disk space of the store",
    load: async () => (await import("./commands/cache-prune.ts")).cachePruneCommand,
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
