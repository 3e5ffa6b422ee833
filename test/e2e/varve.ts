/** Runs the built command line as a user does, and reads what it writes. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  createLayout,
  encodeImageConfig,
  encodeManifest,
  MEDIA_TYPES,
  parseImageConfig,
  parseManifest,
  readContent,
} from "@varve/oci";
import { busyboxLayout } from "../../tools/base-images.ts";

const bin = join(import.meta.dirname, "..", "..", "apps", "cli", "bin", "varve.js");

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One line of `--progress=json`. */
export interface ProgressLine {
  readonly type: string;
  readonly name?: string;
  readonly time?: number;
  readonly reason?: { readonly kind: string; readonly text: string };
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly onStart?: (child: ChildProcess) => void;
  readonly input?: string | Uint8Array;
}

/** A directory for one test, with a store of its own; gone after `using`. */
export class Workspace implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "varve-e2e-"));
  readonly store: string = join(this.path, "store");

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Writes files below `context/`; gives its path. */
  context(files: Readonly<Record<string, string>>): string {
    const root = join(this.path, "context");
    mkdirSync(root, { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
    return root;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** `varve ARGS` with this workspace's store. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runVarve(args, { ...options, env: { VARVE_STORE: this.store, ...options.env } });
  }

  /** `varve build`, with the busybox base as `busybox`; throws where the build fails. */
  async build(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.run(["build", ...(await busyboxArgs()), ...args], options);
    if (outcome.code !== 0) throw new Error(`varve build ended with ${outcome.code}:\n${outcome.stderr}`);
    return outcome;
  }

  /** The same, expected to fail. */
  async fail(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.run(["build", ...(await busyboxArgs()), ...args], options);
    if (outcome.code === 0) throw new Error(`varve build succeeded:\n${outcome.stderr}`);
    return outcome;
  }

  /** The same with `--progress=json`: its events. */
  async events(args: readonly string[], options: RunOptions = {}): Promise<readonly ProgressLine[]> {
    const { stderr } = await this.build(["--progress=json", ...args], options);
    const lines = stderr.split("\n").filter((line) => line.startsWith("{"));
    return lines.map((line) => JSON.parse(line) as ProgressLine);
  }
}

/** Flags that name the busybox base. */
export async function busyboxArgs(): Promise<readonly string[]> {
  return ["--build-context", `busybox=oci-layout://${await busyboxLayout()}`];
}

export async function runVarve(
  args: readonly string[],
  { env = {}, onStart, input }: RunOptions = {},
): Promise<Outcome> {
  const inherited = { ...process.env };
  delete inherited["SOURCE_DATE_EPOCH"];
  delete inherited["NODE_OPTIONS"];
  const child = spawn(process.execPath, [bin, ...args], {
    env: { ...inherited, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  onStart?.(child);
  child.stdin.on("error", () => undefined);
  child.stdin.end(input ?? "");
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit, signal) => resolve(exit ?? (signal === null ? 1 : 128)));
  });
  return { code, stdout: Buffer.concat(stdout).toString("utf8"), stderr: Buffer.concat(stderr).toString("utf8") };
}

interface ArchiveManifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string; readonly mediaType: string }[];
}

interface ArchiveConfig {
  readonly config: Readonly<Record<string, unknown>>;
  readonly history: readonly { readonly created_by: string }[];
  readonly created: string;
}

/** An OCI archive taken apart with the system's tar. */
export class Archive {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  blob(digest: string): Buffer {
    return this.#member(`blobs/sha256/${digest.slice("sha256:".length)}`);
  }

  manifest(): ArchiveManifest {
    const index = JSON.parse(this.#member("index.json").toString("utf8")) as {
      readonly manifests: readonly { readonly digest: string }[];
    };
    return JSON.parse(this.blob(index.manifests[0]?.digest ?? "").toString("utf8")) as ArchiveManifest;
  }

  config(): ArchiveConfig {
    return JSON.parse(this.blob(this.manifest().config.digest).toString("utf8")) as ArchiveConfig;
  }

  /** Member names of a gzipped layer's tar. */
  entries(position: number): readonly string[] {
    const layer = this.manifest().layers.at(position);
    const names = execFileSync("tar", ["-tzf", "-"], { input: this.blob(layer?.digest ?? ""), encoding: "utf8" });
    return names.split("\n").filter((name) => name !== "");
  }

  #member(name: string): Buffer {
    return execFileSync("tar", ["-xOf", this.#path, name], { maxBuffer: 1024 * 1024 * 1024 });
  }
}

/** Mount points of this machine at or below `path`. */
export function mountsBelow(path: string): readonly string[] {
  const table = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return table.map((line) => line.split(" ")[4] ?? "").filter((mount) => mount.startsWith(path));
}

/** The same image with one more, empty, layer: another rootfs, in which every path looks the same. */
export async function changeBase(from: string, to: string): Promise<void> {
  cpSync(from, to, { recursive: true });
  const layout = await createLayout(to);
  const [descriptor] = await layout.list();
  if (descriptor === undefined) throw new Error("no image");
  const manifest = parseManifest(await readContent(layout, descriptor));
  const config = parseImageConfig(await readContent(layout, manifest.config));
  const ingest = async (bytes: Uint8Array): ReturnType<Awaited<ReturnType<typeof layout.openWriter>>["commit"]> => {
    const writer = await layout.openWriter();
    await writer.write(bytes);
    return writer.commit();
  };
  const blob = await ingest(Buffer.alloc(1024));
  const rootfs = { type: "layers", diff_ids: [...config.rootfs.diff_ids, blob.digest] } as const;
  const changed = encodeImageConfig({
    ...config,
    rootfs,
    history: [...(config.history ?? []), { created_by: "empty" }],
  });
  const layers = [...manifest.layers, { mediaType: MEDIA_TYPES.layer, ...blob }];
  const next = encodeManifest({ ...manifest, config: changed.descriptor, layers });
  await ingest(changed.bytes);
  await ingest(next.bytes);
  await layout.tag(next.descriptor, "latest");
}
