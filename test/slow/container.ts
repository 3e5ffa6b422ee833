/** Runs images with tools that are not varve: umoci unpacks them, runc runs them. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { end } from "../../tools/registry.ts";

/** What Docker lets a container's root do. */
const CAPABILITIES =
  "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    .split(" ")
    .map((name) => `CAP_${name}`);

interface RuntimeConfig {
  readonly process: {
    terminal: boolean;
    args: readonly string[];
    capabilities: Readonly<Record<string, readonly string[]>>;
    readonly env: string[];
    readonly user: { readonly uid: number };
  };
}

/** A container that is running, in a network of its own. */
export interface Container extends AsyncDisposable {
  /**
   * The body of the answer to a GET, asked from within the container's network, as soon as there is a good one.
   * @throws Error where there is none for 20 seconds; its message has what the container wrote.
   */
  get(url: string): Promise<string>;
}

/** Unpacks the image tagged `latest` of an OCI layout below `directory`; gives the bundle's path. */
export function unpackImage(layout: string, directory: string): string {
  const bundle = join(mkdtempSync(join(directory, "bundle-")), "bundle");
  execFileSync("umoci", ["unpack", "--image", `${layout}:latest`, bundle]);
  return bundle;
}

/** Runs a bundle to its end; gives what it wrote to standard output. `args` take the place of the image's command. */
export function runToEnd(bundle: string, args?: readonly string[]): string {
  const before = readFileSync(join(bundle, "config.json"));
  writeConfig(bundle, args);
  const id = `varve-${process.pid}-${Date.now()}`;
  try {
    return execFileSync("runc", ["--root", join(bundle, "..", "runc"), "run", "--bundle", bundle, id], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
  } finally {
    writeFileSync(join(bundle, "config.json"), before);
  }
}

/** Starts a bundle's command. */
export function startContainer(bundle: string): Container {
  writeConfig(bundle);
  const id = `varve-${process.pid}-${Date.now()}`;
  const log = join(bundle, "..", "log");
  const output = openSync(log, "w");
  const root = ["--root", join(bundle, "..", "runc")];
  const child = spawn("runc", [...root, "run", "--bundle", bundle, id], { stdio: ["ignore", output, output] });
  return {
    async get(url) {
      for (let tries = 0; tries < 100; tries += 1) {
        const body = await ask([...root, "state", id], url).catch(() => undefined);
        if (body !== undefined) return body;
        await setTimeout(200);
      }
      throw new Error(`${url} does not answer; the container wrote:\n${readFileSync(log, "utf8")}`);
    },
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** A terminal is nobody's here; the sets of capabilities are Docker's for root and for others. */
function writeConfig(bundle: string, args?: readonly string[]): void {
  const file = join(bundle, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8")) as RuntimeConfig;
  config.process.terminal = false;
  if (args !== undefined) config.process.args = args;
  const held = config.process.user.uid === 0 ? CAPABILITIES : [];
  config.process.capabilities = { bounding: CAPABILITIES, permitted: held, effective: held };
  writeFileSync(file, JSON.stringify(config));
}

const FETCH = `fetch(process.argv[1]).then(async (r) => { process.stdout.write(await r.text()); process.exitCode = r.ok ? 0 : 1; })`;

async function ask(stateCommand: readonly string[], url: string): Promise<string> {
  const state = await promisify(execFile)("runc", stateCommand);
  const { pid } = JSON.parse(state.stdout) as { readonly pid: number };
  const enter = ["--target", String(pid), "--net", "--", process.execPath, "-e", FETCH, url];
  return (await promisify(execFile)("nsenter", enter)).stdout;
}
