import { UsageError } from "./errors.ts";
import type { Flag, Parsed } from "./flags.ts";

/** A flag that `docker buildx build` or `docker build` has, and what varve does about it. */
export interface ForeignFlag extends Flag {
  /** `ignore`: without a word, as nothing differs; `warn`: the build goes on without it; `refuse`: wrong usage. */
  readonly effect: "ignore" | "warn" | "refuse";
}

const LIMITS = "RUN steps run with the limits of varve's own process";
const ATTESTATIONS = "varve writes no attestations";

/** `description` ends the sentence "--name is left out: …". */
export const FOREIGN_FLAGS: readonly ForeignFlag[] = [
  { name: "attest", value: "ATTESTATION", list: true, effect: "refuse", description: ATTESTATIONS },
  { name: "builder", value: "NAME", effect: "ignore", description: "varve has no builders" },
  { name: "cgroup-parent", value: "CGROUP", effect: "refuse", description: LIMITS },
  { name: "compress", effect: "ignore", description: "contexts are not sent anywhere" },
  { name: "cpu-period", value: "NUMBER", effect: "warn", description: LIMITS },
  { name: "cpu-quota", value: "NUMBER", effect: "warn", description: LIMITS },
  { name: "cpu-shares", short: "c", value: "NUMBER", effect: "warn", description: LIMITS },
  { name: "cpuset-cpus", value: "CPUS", effect: "warn", description: LIMITS },
  { name: "cpuset-mems", value: "NODES", effect: "warn", description: LIMITS },
  { name: "debug", short: "D", effect: "ignore", description: "VARVE_DEBUG=1 shows the stacks of errors" },
  { name: "disable-content-trust", effect: "ignore", description: "digests are always verified" },
  { name: "force-rm", effect: "ignore", description: "there are no containers that stay" },
  { name: "isolation", value: "TYPE", effect: "warn", description: "--runner chooses what runs steps" },
  { name: "memory", short: "m", value: "BYTES", effect: "warn", description: LIMITS },
  { name: "memory-swap", value: "BYTES", effect: "warn", description: LIMITS },
  { name: "policy", value: "POLICY", list: true, effect: "refuse", description: "varve evaluates no policies" },
  { name: "print", value: "METHOD", effect: "refuse", description: "buildx replaced it by --call" },
  { name: "provenance", value: "VALUE", effect: "refuse", description: ATTESTATIONS },
  { name: "rm", effect: "ignore", description: "there are no containers that stay" },
  { name: "sbom", value: "VALUE", effect: "refuse", description: ATTESTATIONS },
  {
    name: "security-opt",
    value: "OPTION",
    list: true,
    effect: "warn",
    description: "--runner chooses what runs steps",
  },
  { name: "squash", effect: "refuse", description: "copy from a finished stage into FROM scratch instead" },
];

/**
 * Does what `FOREIGN_FLAGS` says about the flags that were given.
 * @throws UsageError for one that asks for what varve does not do.
 */
export function checkForeignFlags(flags: Parsed, onWarning: (message: string) => void): void {
  for (const { name, effect, description } of FOREIGN_FLAGS) {
    const values = flags.list(name);
    const [asked] = values.filter((value) => !isOff(value));
    if (asked === undefined || effect === "ignore") continue;
    if (effect === "warn") onWarning(`--${name} is left out: ${description}`);
    else throw new UsageError(`Cannot use --${name}: ${description}`, hintFor(name));
  }
}

/** Whatever can be asked for can be asked not to be: `--provenance=false`, `--attest type=sbom,disabled=true`. */
function isOff(value: string): boolean {
  return value === "false" || value === "0" || /(?:^|,)disabled=(?:true|1)(?:,|$)/.test(value);
}

function hintFor(name: string): string {
  return ["attest", "provenance", "sbom"].includes(name)
    ? "Leave the flag out, or set it to false"
    : "Leave the flag out";
}
