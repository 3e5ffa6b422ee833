/** Stand-ins for the language images of Docker Hub, made of Debian's packages by varve itself. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory, debianLayout, week } from "./base-images.ts";

const root = join(import.meta.dirname, "..");
const dockerfile = join(import.meta.dirname, "language-bases.Dockerfile");

/** Images that examples name, by the target of language-bases.Dockerfile that stands in for them; "": Debian itself. */
const TARGETS: Readonly<Record<string, string>> = {
  "debian:bookworm-slim": "",
  "node:24-bookworm-slim": "node",
  "python:3.11-slim-bookworm": "python",
  "golang:1.19-bookworm": "golang",
  "nginx:1.22": "nginx",
  "php:8.2-cli": "php",
  "composer:2": "composer",
};

/**
 * Flags for `varve build` that put an image made here in the place of each of `names`. The images are made once a week
 * at most, and when their Dockerfile changes; that takes minutes.
 */
export async function languageBaseFlags(names: readonly string[]): Promise<readonly string[]> {
  const flags: string[] = [];
  for (const name of names) {
    const target = TARGETS[name];
    if (target === undefined) throw new Error(`Cannot stand in for image "${name}": it is not in language-bases.ts`);
    const layout = target === "" ? await debianLayout() : await targetLayout(target);
    flags.push("--build-context", `${name}=oci-layout://${layout}`);
  }
  return flags;
}

async function targetLayout(target: string): Promise<string> {
  const version = createHash("sha256").update(readFileSync(dockerfile)).digest("hex").slice(0, 8);
  const path = join(cacheDirectory(), `${target}-${week()}-${version}`);
  if (existsSync(join(path, "index.json"))) return path;
  const scratch = mkdtempSync(join(cacheDirectory(), `${target}-`));
  try {
    fillContext(scratch);
    await buildTarget(target, scratch);
    if (!existsSync(path)) renameSync(join(scratch, "layout"), path);
    return path;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What language-bases.Dockerfile copies; npm comes by way of npm, so that this machine's settings count. */
function fillContext(scratch: string): void {
  copyFileSync("/etc/ssl/certs/ca-certificates.crt", join(scratch, "ca-certificates.crt"));
  copyFileSync(join(root, "node_modules/node/bin/node"), join(scratch, "node"));
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "npm@11.6.2", "--json", "--pack-destination", scratch], { encoding: "utf8" }),
  ) as [{ readonly filename: string }];
  renameSync(join(scratch, packed.filename), join(scratch, "npm.tgz"));
}

async function buildTarget(target: string, scratch: string): Promise<void> {
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      join(root, "apps/cli/bin/varve.js"),
      "build",
      "--progress=plain",
      "-f",
      dockerfile,
      "--target",
      target,
      "--build-context",
      `debian=oci-layout://${await debianLayout()}`,
      "-o",
      `type=oci,tar=false,dest=${join(scratch, "layout")}`,
      scratch,
    ],
    { encoding: "utf8", env: { ...process.env, VARVE_STORE: storeDirectory() }, maxBuffer: 64 * 1024 * 1024 },
  );
  if (status !== 0) throw new Error(`Cannot make base image "${target}":\n${stderr.slice(-4000)}`);
}

/** Shared by the targets of one week, so that they download packages once. */
function storeDirectory(): string {
  return join(cacheDirectory(), `store-${week()}`);
}
