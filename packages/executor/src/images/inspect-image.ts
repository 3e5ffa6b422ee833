import type { ContainerConfig, Image } from "@varve/oci";
import { toDockerConfig, toGoTime } from "../archive/docker-config.ts";

/** What an image's own words do not tell. */
export interface ImageFacts {
  /** Short names with tags. */
  readonly names: readonly string[];
  /** Short names with digests, at registries. */
  readonly repoDigests: readonly string[];
  /** Bytes of the files in all layers. */
  readonly size: number;
}

/** Members of a config that Docker wrote and the OCI specification does not know. */
interface DockerMembers {
  readonly comment?: string;
  readonly container?: string;
  readonly container_config?: ContainerConfig;
  readonly docker_version?: string;
}

/**
 * An image as `docker image inspect` shows it: the same members with the same values. `GraphDriver` names overlayfs,
 * as containerd's store does, and no time of tagging is known.
 */
export function inspectImage(
  image: Image,
  { names, repoDigests, size }: ImageFacts,
): Readonly<Record<string, unknown>> {
  const { config, manifest } = image;
  const docker = config as DockerMembers;
  return {
    Id: manifest.config.digest,
    RepoTags: names,
    RepoDigests: repoDigests,
    Parent: "",
    Comment: docker.comment ?? config.history?.at(-1)?.comment ?? "",
    Created: toGoTime(config.created),
    Container: docker.container ?? "",
    ContainerConfig: toDockerConfig({ ...docker.container_config }),
    DockerVersion: docker.docker_version ?? "",
    Author: config.author ?? "",
    Config: toDockerConfig({ ...config.config }),
    Architecture: config.architecture,
    ...(config.variant === undefined ? {} : { Variant: config.variant }),
    Os: config.os,
    ...(config["os.version"] === undefined ? {} : { OsVersion: config["os.version"] }),
    Size: size,
    VirtualSize: size,
    GraphDriver: { Data: null, Name: "overlayfs" },
    RootFS: {
      Type: "layers",
      ...(config.rootfs.diff_ids.length === 0 ? {} : { Layers: config.rootfs.diff_ids }),
    },
    Metadata: { LastTagTime: "0001-01-01T00:00:00Z" },
  };
}
