import { constants } from "node:os";
import type { Location } from "@varve/dockerfile";
import { GraphError } from "./errors.ts";

const REAL_TIME = /^RTM(?:IN(?:\+(?:[1-9]|1[0-5]))?|AX(?:-(?:[1-9]|1[0-4]))?)$/;

/**
 * Checks what STOPSIGNAL names: any number but 0, as BuildKit does, or a name with or without SIG.
 * @throws GraphError `SIGNAL_INVALID`.
 */
export function checkSignal(signal: string, location: Location): void {
  const name = signal.toUpperCase().replace(/^SIG/, "");
  const isKnown = /^[-+]?\d+$/.test(signal)
    ? Number(signal) !== 0
    : name === "CLD" || `SIG${name}` in constants.signals || REAL_TIME.test(name);
  if (isKnown) return;
  throw new GraphError("SIGNAL_INVALID", `Cannot use stop signal "${signal}": invalid signal: ${signal}`, {
    location,
    word: signal,
    hint: "Write for example SIGTERM or 15",
  });
}
