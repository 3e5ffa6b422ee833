/** A real registry on loopback for tests: Debian's docker-registry. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

export interface RunningRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  stop(): Promise<void>;
}

/** Starts a registry on a free port; with `auth`, for this user alone. */
export async function startRegistry(
  options: { readonly auth?: { readonly user: string; readonly password: string } } = {},
): Promise<RunningRegistry> {
  const directory = mkdtempSync(join(tmpdir(), "varve-registry-"));
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(directory, "config.yml");
  const auth =
    options.auth === undefined
      ? ""
      : `auth:\n  htpasswd:\n    realm: test\n    path: ${writePasswords(directory, options.auth)}\n`;
  writeFileSync(
    config,
    `version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: ${directory}/data\n  delete:\n    enabled: true\nhttp:\n  addr: ${host}\n${auth}`,
  );
  const child = spawn("docker-registry", ["serve", config], {
    stdio: "ignore",
    env: { ...process.env, OTEL_TRACES_EXPORTER: "none" },
  });
  await answers(child, `http://${host}/v2/`);
  return {
    host,
    async stop() {
      await end(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function writePasswords(
  directory: string,
  { user, password }: { readonly user: string; readonly password: string },
): string {
  const path = join(directory, "htpasswd");
  writeFileSync(path, execFileSync("htpasswd", ["-Bbn", user, password], { encoding: "utf8" }));
  return path;
}

/** A port that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        address === null || typeof address === "string" ? reject(new Error("no port")) : resolve(address.port),
      );
    });
  });
}

async function answers(child: ChildProcess, url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    const answered = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await setTimeout(50);
  }
  throw new Error(`Cannot start docker-registry: ${url} does not answer`);
}

/** Ends a process that this program started, and waits for it. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const killer = globalThis.setTimeout(() => child.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(killer);
}
