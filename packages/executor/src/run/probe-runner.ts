import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plainCommand, type Runner } from "../runner.ts";

const MISSING_PROGRAM = "/varve-probe";
const PROGRAM_NOT_FOUND = 127;
const PROBE = plainCommand([MISSING_PROGRAM], []);

/**
 * Why a runner does not work here, or undefined where it does. It is truly tried out, save for the process: in an empty
 * rootfs it has to make its namespaces, mounts and privileges, and then to say that the program is not there.
 */
export async function probeRunner(runner: Runner): Promise<string | undefined> {
  const directory = mkdtempSync(join(tmpdir(), "varve-probe-"));
  const [rootfs, scratch] = [join(directory, "rootfs"), join(directory, "scratch")];
  for (const each of [rootfs, scratch]) mkdirSync(each);
  try {
    const { signal } = new AbortController();
    const { exitCode } = await runner.run(PROBE, { rootfs, scratch, signal, onOutput: () => {} });
    return exitCode === PROGRAM_NOT_FOUND ? undefined : `it gave exit code ${exitCode} for a program that is not there`;
  } catch (error) {
    return (error as Error).message;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
