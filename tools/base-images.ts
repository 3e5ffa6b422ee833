/** Base images made of Debian's packages, as OCI layouts: what examples and tests build on. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import {
  createLayout,
  encodeImageConfig,
  encodeManifest,
  type ImageConfig,
  MEDIA_TYPES,
  type Descriptor,
  digestOf,
} from "@varve/oci";

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const USERS = [
  "root:x:0:0:root:/root:/bin/sh",
  "app:x:1000:1000:Application:/home/app:/bin/sh",
  "nobody:x:65534:65534:nobody:/:/bin/false",
];
const GROUPS = ["root:x:0:", "users:x:100:app", "app:x:1000:", "nogroup:x:65534:"];

/** Where images made here are kept, whatever the workspace: `varve-bases` in the user's cache. */
export function cacheDirectory(): string {
  const path = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "varve-bases");
  mkdirSync(path, { recursive: true });
  return path;
}

/** Path of an OCI layout with a static busybox, a few users and a sticky /tmp, tagged `latest`. The same bytes every time. */
export async function busyboxLayout(): Promise<string> {
  return cached("busybox", (rootfs) => {
    const program = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));
    if (program === undefined)
      throw new Error("Cannot make the busybox image: there is no busybox; install busybox-static");
    for (const name of ["bin", "etc", "home/app", "root", "tmp", "usr/bin", "var", "dev", "proc", "sys"])
      mkdirSync(join(rootfs, name), { recursive: true });
    cpSync(program, join(rootfs, "bin/busybox"));
    chmodSync(join(rootfs, "bin/busybox"), 0o755);
    const applets = execFileSync(program, ["--list"], { encoding: "utf8" }).trim().split("\n");
    for (const applet of applets.filter((name) => name !== "busybox"))
      symlinkSync("busybox", join(rootfs, "bin", applet));
    writeFileSync(join(rootfs, "etc/passwd"), `${USERS.join("\n")}\n`);
    writeFileSync(join(rootfs, "etc/group"), `${GROUPS.join("\n")}\n`);
    chmodSync(join(rootfs, "tmp"), 0o1777);
  });
}

/** Number of the week since 1970: images of Debian's packages are made anew once a week. */
export function week(): number {
  return Math.floor(Date.now() / (7 * 24 * 3600 * 1000));
}

/** Path of an OCI layout of a minimal Debian bookworm, tagged `latest`: made by debootstrap once a week at most. */
export async function debianLayout(): Promise<string> {
  return cached(`debian-${week()}`, (rootfs) => {
    execFileSync("debootstrap", ["--variant=minbase", "bookworm", rootfs], { stdio: ["ignore", "ignore", "inherit"] });
    for (const name of ["var/cache/apt/archives", "var/lib/apt/lists", "var/log"]) {
      for (const each of readdirSync(join(rootfs, name)))
        if (statSync(join(rootfs, name, each)).isFile()) rmSync(join(rootfs, name, each));
    }
    for (const each of readdirSync(join(rootfs, "dev"))) rmSync(join(rootfs, "dev", each), { recursive: true });
  });
}

async function cached(name: string, fill: (rootfs: string) => void): Promise<string> {
  const path = join(cacheDirectory(), name);
  if (existsSync(join(path, "index.json"))) return path;
  const scratch = mkdtempSync(join(cacheDirectory(), `${name}-`));
  try {
    const rootfs = join(scratch, "rootfs");
    mkdirSync(rootfs);
    fill(rootfs);
    await writeLayout(join(scratch, "layout"), rootfs);
    if (!existsSync(path)) renameSync(join(scratch, "layout"), path);
    return path;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function writeLayout(path: string, rootfs: string): Promise<void> {
  const tar = join(path, "..", "layer.tar");
  execFileSync("tar", [
    "--sort=name",
    "--mtime=@946684800",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--format=pax",
    "--pax-option=delete=atime,delete=ctime",
    "-C",
    rootfs,
    "-cf",
    tar,
    ".",
  ]);
  const diffId = `sha256:${execFileSync("sha256sum", [tar], { encoding: "utf8" }).slice(0, 64)}` as const;
  execFileSync("gzip", ["-n", "-6", tar]);
  const blob = `${tar}.gz`;
  const digest = `sha256:${execFileSync("sha256sum", [blob], { encoding: "utf8" }).slice(0, 64)}` as const;
  const layout = await createLayout(path);
  renameSync(blob, layout.blobPath(digest));
  const layer: Descriptor = { mediaType: MEDIA_TYPES.layerGzip, digest, size: statSync(layout.blobPath(digest)).size };
  const config: ImageConfig = {
    created: "2000-01-01T00:00:00Z",
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Env: [PATH], Cmd: ["sh"] },
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created: "2000-01-01T00:00:00Z", created_by: "varve base image" }],
  };
  const encodedConfig = encodeImageConfig(config);
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: encodedConfig.descriptor,
    layers: [layer],
  });
  for (const { bytes } of [encodedConfig, manifest]) writeFileSync(layout.blobPath(digestOf(bytes)), bytes);
  await layout.tag(manifest.descriptor, "latest");
}

/** A new directory for a test, removed by its caller. */
export function scratchDirectory(name: string): string {
  return mkdtempSync(join(tmpdir(), `varve-${name}-`));
}
