import type { Descriptor } from "@varve/oci";
import type { Flag, Parsed } from "./flags.ts";
import { createProgress } from "./progress/create-progress.ts";

/** Shows what is copied. */
export interface Transfers extends Disposable {
  readonly onProgress: (descriptor: Descriptor, current: number) => void;
}

/** Flags of commands that copy images. */
export const TRANSFER_FLAGS: readonly Flag[] = [
  { name: "progress", value: "MODE", description: "auto (default), tty, plain, json or quiet" },
  { name: "quiet", short: "q", description: "Show no progress" },
];

/** A display of transfers as the flags want it, on standard error. */
export function showTransfers(flags: Parsed, direction: "pull" | "push"): Transfers {
  const progress = createProgress(flags.is("quiet") ? "quiet" : (flags.value("progress") ?? "auto"));
  return {
    onProgress: ({ digest, size }, current) =>
      progress.onEvent({ type: "transfer", direction, name: digest, current, total: size, done: current === size }),
    [Symbol.dispose]: () => progress.end(),
  };
}
