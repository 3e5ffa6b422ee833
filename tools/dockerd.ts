/** A real Docker daemon for tests, with a root, a socket and no network of its own. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { end } from "./registry.ts";

export interface RunningDocker {
  /** Value for DOCKER_HOST. */
  readonly host: string;
  /** Runs `docker ARGS` against it and gives its output. */
  docker(...args: readonly string[]): string;
  stop(): Promise<void>;
}

/** Starts dockerd; ready when it answers. `storageDriver`: vfs, which works everywhere, where it is left out. */
export async function startDocker(
  options: { readonly storageDriver?: "vfs" | "overlay2" } = {},
): Promise<RunningDocker> {
  const directory = mkdtempSync(join(tmpdir(), "varve-docker-"));
  const host = `unix://${directory}/docker.sock`;
  const args = [
    "--iptables=false",
    "--ip6tables=false",
    "--bridge=none",
    "--data-root",
    `${directory}/data`,
    "--exec-root",
    `${directory}/exec`,
    "--pidfile",
    `${directory}/pid`,
    "-H",
    host,
    `--storage-driver=${options.storageDriver ?? "vfs"}`,
    "-l",
    "error",
  ];
  const child = spawn("dockerd", args, {
    stdio: "ignore",
    env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
  });
  const docker = (...words: readonly string[]): string =>
    execFileSync("docker", words, {
      encoding: "utf8",
      env: { ...process.env, DOCKER_HOST: host },
      maxBuffer: 64 * 1024 * 1024,
    });
  for (let tries = 0; ; tries += 1) {
    try {
      docker("version");
      break;
    } catch (cause) {
      if (tries > 200 || child.exitCode !== null)
        throw new Error(`Cannot start dockerd (exit code ${child.exitCode})`, { cause });
      await setTimeout(100);
    }
  }
  return {
    host,
    docker,
    async stop() {
      await end(child);
      unmountBelow(directory);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function unmountBelow(directory: string): void {
  if (!existsSync("/proc/self/mountinfo")) return;
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(directory));
  for (const path of mounts.toReversed()) execFileSync("umount", ["-l", path]);
}
