import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { mknod } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { BindMount, RunCommand, Runner, RunOptions, TmpfsMount } from "../runner.ts";
import { copyTree } from "../snapshot/copy-tree.ts";
import { CAPABILITIES, SANDBOX_CAPABILITIES } from "./capabilities.ts";
import { writeHostFiles, type HostFiles } from "./host-files.ts";
import type { InitMount, InitPlan } from "./init-plan.ts";
import { createMountPoints, type MountPoints, resolveInRoot } from "./mount-points.ts";
import { killGroup, runProcess } from "./run-process.ts";

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
/** Exit code by which init tells its own failure: no shell gives it. */
const INIT_FAILURE = 217;
const SHM_SIZE = 64 * 1024 * 1024;
const DEVICES: readonly (readonly [name: string, major: number, minor: number])[] = [
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0],
];
const S_IFCHR = 0o020000;

/** `unshare`: namespaces by util-linux's unshare, the rest by varve's own init program. */
export function createUnshareRunner(): Runner {
  return { name: "unshare", run: runUnshared };
}

/**
 * `chroot`: for where no namespace can be made. The process shares the machine's process table and network; mounts
 * are emulated: what is read-only is copied in and taken away after, caches are copied in and back.
 */
export function createChrootRunner(): Runner {
  return { name: "chroot", run: runChrooted };
}

async function runUnshared(command: RunCommand, options: RunOptions): Promise<{ readonly exitCode: number }> {
  using points = createMountPoints(options.rootfs);
  const files = writeHostFiles(options.scratch, command);
  const mounts = planMounts(points, command, { files, options });
  const plan = createPlan(command, options, mounts);
  const network = command.network === "none" ? ["--net"] : [];
  const unshare = ["--mount", "--pid", "--ipc", "--uts", ...network, "--fork", "--kill-child=SIGKILL", "--"];
  return runInit("unshare", [...unshare, process.execPath], { plan, options });
}

function createPlan(command: RunCommand, { rootfs }: RunOptions, mounts: readonly InitMount[]): InitPlan {
  const allowed = command.security === "insecure" ? CAPABILITIES : SANDBOX_CAPABILITIES;
  const dropped = CAPABILITIES.flatMap((name, number) => (allowed.includes(name) ? [] : [number]));
  const isolated = mounts.length > 0;
  return {
    rootfs,
    mounts,
    hostname: isolated ? command.hostname : undefined,
    loopback: isolated && command.network === "none",
    dropped,
    command,
  };
}

interface InitRun {
  readonly plan: InitPlan;
  readonly options: RunOptions;
}

async function runInit(
  program: string,
  args: readonly string[],
  { plan, options }: InitRun,
): Promise<{ readonly exitCode: number }> {
  const file = join(options.scratch, "plan.json");
  writeFileSync(file, JSON.stringify(plan), { mode: 0o600 });
  const init = join(import.meta.dirname, `init${extname(import.meta.filename)}`);
  let said = "";
  const exitCode = await runProcess(program, [...args, "--disable-warning=ExperimentalWarning", init, file], {
    signal: options.signal,
    env: { ...process.env, NODE_OPTIONS: "", VARVE_INIT_FAILURE: String(INIT_FAILURE) },
    onOutput(stream, chunk) {
      said = `${said}${Buffer.from(chunk).toString("utf8")}`.slice(-1000);
      options.onOutput(stream, chunk);
    },
    kill: killGroup,
  });
  if (exitCode === INIT_FAILURE)
    throw new StepError("RUNNER_FAILED", `Cannot start the process: ${said.trim()}`, {
      hint: "Try another runner with --runner, or see varve doctor",
    });
  return { exitCode };
}

interface PlanContext {
  readonly files: HostFiles;
  readonly options: RunOptions;
}

function planMounts(points: MountPoints, command: RunCommand, { files, options }: PlanContext): InitMount[] {
  const at = (target: string): string => points.make(target, "directory");
  const dev = join(options.scratch, "dev");
  makeDevices(dev, command.shmSize ?? SHM_SIZE);
  const secure = MS_NOSUID | MS_NOEXEC | MS_NODEV;
  const bind = (source: string, target: string, readonly: boolean): InitMount => ({
    type: "none",
    source,
    target,
    flags: MS_BIND | MS_REC,
    readonly,
  });
  return [
    bind(options.rootfs, options.rootfs, false),
    { type: "proc", source: "proc", target: at("/proc"), flags: secure },
    bind("/sys", at("/sys"), true),
    bind(dev, at("/dev"), false),
    {
      type: "tmpfs",
      source: "shm",
      target: join(at("/dev"), "shm"),
      flags: secure,
      options: `mode=1777,size=${command.shmSize ?? SHM_SIZE}`,
    },
    {
      type: "devpts",
      source: "devpts",
      target: join(at("/dev"), "pts"),
      flags: MS_NOSUID | MS_NOEXEC,
      options: "newinstance,ptmxmode=0666,mode=0620",
    },
    ...DEVICES.map(([name]) => bind(`/dev/${name}`, join(at("/dev"), name), false)),
    bind(files.resolvConf, points.make("/etc/resolv.conf", "file"), true),
    bind(files.hosts, points.make("/etc/hosts", "file"), true),
    ...command.mounts.map((mount) => planMount(points, mount, dev)),
  ];
}

function planMount(points: MountPoints, mount: BindMount | TmpfsMount, dev: string): InitMount {
  if (mount.type === "tmpfs") {
    const size = mount.size === undefined ? "" : `,size=${mount.size}`;
    return {
      type: "tmpfs",
      source: "tmpfs",
      target: points.make(mount.target, "directory"),
      flags: MS_NOSUID | MS_NODEV,
      options: `mode=1777${size}`,
    };
  }
  const kind = statSync(mount.source).isDirectory() ? "directory" : "file";
  if (mount.target.startsWith("/dev/")) makeIn(dev, mount.target.slice("/dev".length), kind);
  const target = mount.target.startsWith("/dev/")
    ? join(points.make("/dev", "directory"), mount.target.slice("/dev".length))
    : points.make(mount.target, kind);
  return { type: "none", source: mount.source, target, flags: MS_BIND | MS_REC, readonly: mount.readonly };
}

function makeIn(root: string, target: string, kind: "directory" | "file"): void {
  const path = join(root, target);
  mkdirSync(kind === "directory" ? path : dirname(path), { recursive: true });
  if (kind === "file" && !existsSync(path)) writeFileSync(path, "");
}

/** A /dev of empty files, onto which the machine's devices are bound: works without mknod. */
function makeDevices(dev: string, _shmSize: number): void {
  mkdirSync(join(dev, "pts"), { recursive: true });
  mkdirSync(join(dev, "shm"));
  for (const [name] of DEVICES) writeFileSync(join(dev, name), "");
  const links = {
    fd: "/proc/self/fd",
    stdin: "/proc/self/fd/0",
    stdout: "/proc/self/fd/1",
    stderr: "/proc/self/fd/2",
    ptmx: "pts/ptmx",
  };
  for (const [name, target] of Object.entries(links)) spawnSync("ln", ["-s", target, join(dev, name)]);
}

async function runChrooted(command: RunCommand, options: RunOptions): Promise<{ readonly exitCode: number }> {
  if (command.network === "none") {
    throw new StepError("RUNNER_FAILED", 'Cannot run without network: runner "chroot" makes no namespaces', {
      hint: "Use another runner, or leave out --network=none",
    });
  }
  await using stack = new AsyncDisposableStack();
  const points = stack.use(createMountPoints(options.rootfs));
  const files = writeHostFiles(options.scratch, command);
  const base: readonly BindMount[] = [
    { type: "bind", source: files.resolvConf, target: "/etc/resolv.conf", readonly: true },
    { type: "bind", source: files.hosts, target: "/etc/hosts", readonly: true },
  ];
  makeNodes(points, { rootfs: options.rootfs, stack });
  for (const mount of [...base, ...command.mounts]) await emulateMount(mount, { points, stack });
  return runInit(process.execPath, [], { plan: createPlan(command, options, []), options });
}

interface Emulation {
  readonly rootfs: string;
  readonly points: MountPoints;
  readonly stack: AsyncDisposableStack;
}

/** What stands at the target is moved aside while the process runs. */
async function emulateMount(
  mount: BindMount | TmpfsMount,
  { points, stack }: Omit<Emulation, "rootfs">,
): Promise<void> {
  const isFile = mount.type === "bind" && statSync(mount.source).isFile();
  const path = points.make(mount.target, isFile ? "file" : "directory");
  const aside = join(dirname(path), `.varve-aside-${basename(path)}`);
  spawnSync("cp", ["-a", "--", path, aside]);
  rmSync(path, { recursive: true });
  if (mount.type === "bind" && isFile) spawnSync("cp", ["-a", "--", mount.source, path]);
  else mkdirSync(path, { mode: 0o1777 });
  if (mount.type === "bind" && !isFile) await copyTree(mount.source, path);
  stack.defer(async () => {
    if (mount.type === "bind" && !mount.readonly && !isFile) spawnSync("cp", ["-a", "--", `${path}/.`, mount.source]);
    rmSync(path, { recursive: true, force: true });
    spawnSync("mv", ["--", aside, path]);
  });
}

function makeNodes(points: MountPoints, { rootfs, stack }: Omit<Emulation, "points">): void {
  points.make("/dev", "directory");
  const dev = join(rootfs, resolveInRoot(rootfs, "/dev"));
  for (const [name, major, minor] of DEVICES) {
    const path = join(dev, name);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
    try {
      mknod(path, S_IFCHR | 0o666, { major, minor });
    } catch {
      continue;
    }
    stack.defer(() => rmSync(path, { force: true }));
  }
}

/** Why namespaces can't be made here, or undefined where they can. */
export function unshareProblem(): string | undefined {
  const tried = spawnSync("unshare", ["--mount", "--pid", "--ipc", "--uts", "--fork", "true"], { encoding: "utf8" });
  if (tried.status === 0) return undefined;
  return tried.error === undefined ? tried.stderr.trim() : "there is no program unshare";
}

/** Why this process can't enter a chroot, or undefined where it can. */
export function chrootProblem(): string | undefined {
  const tried = spawnSync("chroot", ["/", "true"], { encoding: "utf8" });
  if (tried.status === 0) return undefined;
  return tried.error === undefined ? tried.stderr.trim() : "there is no program chroot";
}
