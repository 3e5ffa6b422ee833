import { constants } from "node:os";
import type { Location } from "@varve/dockerfile";
import { GraphError } from "./errors.ts";

const MAX_SIGNAL = 64;
const REAL_TIME = /^RTM(?:IN(?:\+(?:[1-9]|1[0-5]))?|AX(?:-(?:[1-9]|1[0-4]))?)$/;

/**
 * Checks what STOPSIGNAL names: a number from 1 to 64, or a name with or without SIG.
 * @throws GraphError `SIGNAL_INVALID`.
 */
export function checkSignal(signal: string, location: Location): void {
  const name = signal.toUpperCase().replace(/^SIG/, "");
  const number = /^\d+$/.test(signal) ? Number(signal) : undefined;
  const isKnown =
    number === undefined
      ? `SIG${name}` in constants.signals || REAL_TIME.test(name)
      : number > 0 && number <= MAX_SIGNAL;
  if (isKnown) return;
  throw new GraphError("SIGNAL_INVALID", `Cannot use stop signal "${signal}": invalid signal: ${signal}`, {
    location,
    hint: "Write for example SIGTERM or 15",
  });
}
