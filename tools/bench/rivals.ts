/** Other builders on this machine, each with a store of its own: buildah, and BuildKit inside dockerd. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDocker } from "../dockerd.ts";
import type { Contestant } from "./contest.ts";

/** A build that every rival does in its own way. */
export interface RivalBuild {
  readonly dockerfile: string;
  readonly context: string;
  /** Nothing of an earlier build is used. */
  readonly fresh?: boolean;
  /** `HOST/NAME:TAG` to push to. */
  readonly push?: string;
  /** OCI archive to write. BuildKit in dockerd can't: it keeps the image. */
  readonly archive?: string;
  readonly before?: () => unknown;
}

export interface Rivals {
  /** Those that are installed. */
  contestants(build: RivalBuild): readonly Contestant[];
  close(): Promise<void>;
}

type Rival = (build: RivalBuild) => Contestant;

/** Finds the rivals, and teaches them the image `busybox` from the OCI layout `base`. */
export async function openRivals(
  path: string,
  { base, enabled }: { readonly base: string; readonly enabled: boolean },
): Promise<Rivals> {
  mkdirSync(path, { recursive: true });
  const docker = enabled ? await openBuildKit(path, base) : undefined;
  const buildah = enabled ? openBuildah(path, base) : undefined;
  const rivals = [docker?.rival, buildah?.rival].filter((each) => each !== undefined);
  return {
    contestants: (build) => rivals.map((rival) => rival(build)),
    async close() {
      buildah?.close();
      await docker?.close();
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function shell(script: string): readonly string[] {
  return ["sh", "-ec", script];
}

function openBuildah(path: string, base: string): { readonly rival: Rival; close(): void } | undefined {
  if (spawnSync("buildah", ["--version"]).error !== undefined) return undefined;
  const [root, run] = [join(path, "buildah"), join(path, "buildah-run")];
  const policy = join(path, "policy.json");
  writeFileSync(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  const global = `buildah --root ${root} --runroot ${run} --storage-driver overlay`;
  const name = "localhost/busybox:latest";
  const copy = ["copy", "--policy", policy, `oci:${base}:latest`, `containers-storage:[overlay@${root}+${run}]${name}`];
  if (spawnSync("skopeo", copy).status !== 0) return undefined;
  const rival: Rival = ({ dockerfile, context, fresh, push, archive, before }) => ({
    name: "buildah",
    command: shell(
      [
        `${global} build --signature-policy ${policy} --isolation chroot --pull-never ${fresh === true ? "--no-cache --layers=false" : "--layers"} -q -f ${dockerfile} -t bench ${context}`,
        ...(push === undefined
          ? []
          : [`${global} push --signature-policy ${policy} --tls-verify=false -q bench docker://${push}`]),
        ...(archive === undefined
          ? []
          : [`rm -f ${archive}`, `${global} push --signature-policy ${policy} -q bench oci-archive:${archive}`]),
      ].join(" && "),
    ),
    ...(before === undefined ? {} : { before }),
  });
  return {
    rival,
    close() {
      spawnSync("sh", ["-c", `${global} rm -a; ${global} rmi -af; umount -l ${root}/overlay/*/merged ${root}/overlay`]);
    },
  };
}

async function openBuildKit(
  path: string,
  base: string,
): Promise<{ readonly rival: Rival; close(): Promise<void> } | undefined> {
  if (spawnSync("dockerd", ["--version"]).error !== undefined) return undefined;
  const docker = await startDocker({ storageDriver: "overlay2" });
  const env = { DOCKER_HOST: docker.host, DOCKER_BUILDKIT: "1" };
  const archive = join(path, "busybox.tar");
  const client = ["docker", "/usr/bin/docker"].find((program) => {
    const build = ["build", "-q", "-"];
    return (
      spawnSync(program, build, { input: "FROM scratch\nLABEL a=b", env: { ...process.env, ...env } }).status === 0
    );
  });
  if (client === undefined || !existsSync(base)) {
    await docker.stop();
    return undefined;
  }
  execFileSync("skopeo", [
    "copy",
    "--insecure-policy",
    `oci:${base}:latest`,
    `docker-archive:${archive}:busybox:latest`,
  ]);
  docker.docker("load", "-i", archive);
  const rival: Rival = ({ dockerfile, context, fresh, push, before }) => ({
    name: "BuildKit",
    env,
    command: shell(
      [
        `${client} build ${fresh === true ? "--no-cache" : ""} -q --network host -f ${dockerfile} -t ${push ?? "bench"} ${context}`,
        ...(push === undefined ? [] : [`${client} push -q ${push}`]),
      ].join(" && "),
    ),
    ...(before === undefined ? {} : { before }),
  });
  return { rival, close: () => docker.stop() };
}
