import { mkdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { isAbsolute, resolve } from "node:path";
import type { BindMount, ImageCommand, TmpfsMount } from "@varve/executor";
import type { ImageConfig } from "@varve/oci";
import { runDefaults } from "./build-settings.ts";
import { parseOptions } from "./csv.ts";
import { UsageError } from "./errors.ts";
import type { Parsed } from "./flags.ts";

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * The process that `varve run` flags and words ask for, in an image of this config.
 * @throws UsageError
 */
export function createImageCommand(flags: Parsed, words: readonly string[], config: ImageConfig): ImageCommand {
  const { config: container = {} } = config;
  const defaults = runDefaults(
    { ...flags, value: (name) => (name === "network" ? undefined : flags.value(name)) },
    new Map(),
  );
  const user = flags.value("user") ?? container.User ?? "";
  return {
    args: chooseArgs(flags, words, config),
    env: chooseEnv(flags, container.Env ?? []),
    workdir: chooseWorkdir(flags, container.WorkingDir),
    user,
    directories: Object.keys(container.Volumes ?? {}).filter((path) => isAbsolute(path)),
    mounts: parseMounts(flags),
    network: chooseNetwork(flags),
    security: flags.is("privileged") ? "insecure" : "sandbox",
    devices: flags.list("device"),
    hostname: flags.value("hostname") ?? hostname(),
    extraHosts: defaults.extraHosts,
    ulimits: defaults.ulimits,
    shmSize: defaults.shmSize,
    readonlyRootfs: flags.is("read-only"),
  };
}

/** An entrypoint of the command line takes the image's command away, as in Docker. */
function chooseArgs(flags: Parsed, words: readonly string[], { config = {} }: ImageConfig): readonly string[] {
  const entrypoint = flags.value("entrypoint");
  const first = entrypoint === undefined ? (config.Entrypoint ?? []) : entrypoint === "" ? [] : [entrypoint];
  const rest = words.length > 0 || entrypoint !== undefined ? words : (config.Cmd ?? []);
  if (first.length + rest.length > 0) return [...first, ...rest];
  throw new UsageError("Cannot run the image: it has no command, and none was given", "Write varve run IMAGE COMMAND");
}

/** Docker's own networks have no counterpart: a process shares the machine's. */
function chooseNetwork(flags: Parsed): "host" | "none" {
  const network = flags.value("network") ?? flags.value("net") ?? "host";
  if (network === "none") return "none";
  if (["host", "bridge", "default"].includes(network)) return "host";
  throw new UsageError(`Cannot use --network "${network}": wanted host or none`);
}

function chooseWorkdir(flags: Parsed, own: string | undefined): string {
  const workdir = flags.value("workdir") ?? (own === undefined || own === "" ? "/" : own);
  if (isAbsolute(workdir)) return workdir;
  throw new UsageError(`Cannot use --workdir "${workdir}": wanted an absolute path`);
}

/** Later ones count. A name alone takes this process' value, and is left out where that has none. */
function chooseEnv(flags: Parsed, own: readonly string[]): readonly string[] {
  const files = flags.list("env-file").flatMap(readEnvFile);
  const env = new Map<string, string>();
  const terminal = flags.is("tty") ? ["TERM=xterm"] : [];
  for (const pair of [PATH, ...terminal, ...own, ...files, ...flags.list("env")]) {
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? process.env[name] : pair.slice(equals + 1);
    if (name === "") throw new UsageError(`Cannot use --env "${pair}": it has no name`);
    if (value !== undefined) env.set(name, value);
  }
  return Array.from(env, ([name, value]) => `${name}=${value}`);
}

function readEnvFile(path: string): readonly string[] {
  try {
    const lines = readFileSync(path, "utf8").split(/\r?\n/);
    return lines.map((line) => line.trimStart()).filter((line) => line !== "" && !line.startsWith("#"));
  } catch (error) {
    throw new UsageError(`Cannot read --env-file "${path}": ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** Parents before children. */
function parseMounts(flags: Parsed): readonly (BindMount | TmpfsMount)[] {
  const mounts = [
    ...flags.list("volume").map(parseVolume),
    ...flags.list("mount").map(parseMount),
    ...flags
      .list("tmpfs")
      .map((text): TmpfsMount => ({ type: "tmpfs", target: text.split(":")[0] ?? "", size: undefined })),
  ];
  for (const { target } of mounts)
    if (!isAbsolute(target)) throw new UsageError(`Cannot mount at "${target}": wanted an absolute path in the image`);
  return mounts.toSorted((a, b) => (a.target < b.target ? -1 : 1));
}

/** `SOURCE:TARGET[:ro]`; the source is made where it is absent, as Docker does. */
function parseVolume(text: string): BindMount {
  const [source = "", target = "", options = ""] = text.split(":");
  const wrong = (why: string): UsageError =>
    new UsageError(`Cannot use --volume "${text}": ${why}`, "Write DIRECTORY:PATH[:ro]");
  if (target === "") throw wrong("it names one path; wanted two");
  if (!/^[./~]/.test(source)) throw wrong("varve keeps no named volumes");
  const words = options.split(",").filter((word) => word !== "");
  const unknown = words.find((word) => !["ro", "rw", "z", "Z", "cached", "delegated", "consistent"].includes(word));
  if (unknown !== undefined) throw wrong(`option "${unknown}" is not known`);
  const path = resolve(source);
  makeSource(path, text);
  return { type: "bind", source: path, target, readonly: words.includes("ro") };
}

function makeSource(path: string, text: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A file.
    if (code !== "EEXIST") throw new UsageError(`Cannot use --volume "${text}": "${path}" can't be made: ${code}`);
  }
}

function parseMount(text: string): BindMount | TmpfsMount {
  const options = parseOptions(text);
  const target = options.get("target") ?? options.get("dst") ?? options.get("destination") ?? "";
  const source = options.get("source") ?? options.get("src");
  const type = options.get("type") ?? "volume";
  if (type === "tmpfs") return { type: "tmpfs", target, size: undefined };
  if (type !== "bind" || source === undefined)
    throw new UsageError(
      `Cannot use --mount "${text}": wanted type=bind,source=PATH,target=PATH[,readonly] or type=tmpfs,target=PATH`,
    );
  const isOn = (name: string): boolean =>
    options.has(name) && options.get(name) !== "false" && options.get(name) !== "0";
  return { type: "bind", source: resolve(source), target, readonly: isOn("readonly") || isOn("ro") };
}
