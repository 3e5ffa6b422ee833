import type { ContainerConfig, Descriptor, History, Image, Platform } from "@varve/oci";
import type { Location } from "@varve/dockerfile";
import type { GitSource } from "./git-source.ts";
import type { UsedArg } from "./used-args.ts";

/** What every step carries. `parent` links make each step's file system: the parent's, and this step's layer on it. */
interface StepBase {
  /** For people: `[build 2/5] RUN npm ci`. Never part of a key. */
  readonly name: string;
  readonly location: Location | undefined;
  readonly platform: Platform;
  /** The step is to run again, whatever caches hold. */
  readonly noCache?: boolean;
}

/** What a step is for people, beyond its name: never part of a key. */
export interface StepOrigin {
  /** Name of the stage as step names show it; "" in a Dockerfile of one unnamed stage. */
  readonly stage: string;
  /** In its stage; FROM is 1. */
  readonly position: number;
  /** The instruction as written. */
  readonly text: string;
  /** Variables that the instruction sees, build args included. */
  readonly scope: ReadonlyMap<string, string>;
  /** Names of the build args among them. */
  readonly buildArgs: readonly string[];
}

/** A step that makes a layer of an instruction. */
interface LayerStepBase extends StepBase {
  readonly parent: Step;
  readonly origin: StepOrigin;
}

/** An image's file system, or an empty one. */
export interface FromStep extends StepBase {
  readonly kind: "from";
  readonly source:
    | { readonly type: "scratch" }
    | { readonly type: "image"; readonly reference: string; readonly image: Image };
}

/** A set of files that a step reads: a build context by name ("" is the main one), or the file system of a step. */
export type FileSet =
  | { readonly type: "context"; readonly name: string }
  | { readonly type: "step"; readonly step: Step };

/** One `RUN --mount`, checked and expanded. `target` is absolute. */
export type RunMount =
  | {
      readonly type: "bind";
      readonly target: string;
      readonly from: FileSet;
      readonly source: string;
      readonly readonly: boolean;
    }
  | {
      readonly type: "cache";
      readonly target: string;
      readonly id: string;
      readonly sharing: "shared" | "private" | "locked";
      /** What a new cache starts from, owner and mode included; undefined: an empty directory of these. */
      readonly from: FileSet | undefined;
      readonly source: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly readonly: boolean;
    }
  /** `size` in bytes; undefined: no limit. */
  | { readonly type: "tmpfs"; readonly target: string; readonly size: number | undefined }
  | {
      readonly type: "secret";
      readonly id: string;
      /** Where the file appears; undefined where only `env` is asked for. */
      readonly target: string | undefined;
      readonly env: string | undefined;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly type: "ssh";
      readonly id: string;
      readonly target: string | undefined;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

export interface RunStep extends LayerStepBase {
  readonly kind: "run";
  /** The process' arguments: shell and script, or the exec form as it is. */
  readonly args: readonly string[];
  /** A heredoc that is a program of its own (`RUN <<EOF` with `#!`): a file in /dev/pipes that `args` names. */
  readonly script: { readonly name: string; readonly content: string } | undefined;
  /** `NAME=value`, all the process sees, in order: image env, then build args in scope; proxy args are apart. */
  readonly env: readonly string[];
  /** Pre-defined proxy args that were given: set for the process, never in a key nor in history. */
  readonly proxyEnv: readonly string[];
  readonly workdir: string;
  /** As USER wrote it, or "" for root; names are looked up in the rootfs. */
  readonly user: string;
  readonly mounts: readonly RunMount[];
  readonly network: "default" | "none" | "host";
  readonly security: "sandbox" | "insecure";
  readonly devices: readonly string[];
  readonly hostname: string | undefined;
  /** `--add-host`: name and address pairs. */
  readonly extraHosts: readonly (readonly [name: string, address: string])[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  /** Bytes of /dev/shm; undefined: the runner's default. */
  readonly shmSize: number | undefined;
}

/** One source of a COPY or ADD. */
export type CopySource =
  /** `path` may hold wildcards; relative to the root of `from`. */
  | { readonly type: "path"; readonly from: FileSet; readonly path: string }
  | { readonly type: "inline"; readonly name: string; readonly content: string }
  | { readonly type: "http"; readonly url: string }
  | { readonly type: "git"; readonly url: string; readonly git: GitSource };

export interface CopyStep extends LayerStepBase {
  readonly kind: "copy";
  readonly instruction: "COPY" | "ADD";
  readonly sources: readonly CopySource[];
  /** Absolute; a trailing slash says that it is a directory. */
  readonly destination: string;
  /** `user[:group]` as written, names or ids; undefined: 0:0. */
  readonly chown: string | undefined;
  /** Octal or symbolic, as written. */
  readonly chmod: string | undefined;
  readonly link: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  /** `sha256:…` of a downloaded file, or a git commit. */
  readonly checksum: string | undefined;
  /** ADD --unpack: true, false, or undefined for what the source's form decides. */
  readonly unpack: boolean | undefined;
}

export interface WorkdirStep extends LayerStepBase {
  readonly kind: "workdir";
  /** Absolute. */
  readonly path: string;
  /** Who owns the directories it makes, as USER wrote it; "" for root. */
  readonly user: string;
}

/** One node of the build graph. Steps that only change the config are folded into `StageOutput.config`. */
export type Step = FromStep | RunStep | CopyStep | WorkdirStep;

/** A stage's result: the file system of `step`, and the config an image made of it would have. */
export interface StageOutput {
  readonly step: Step;
  readonly platform: Platform;
  readonly author: string | undefined;
  readonly config: ContainerConfig;
  /**
   * Oldest first, the base's included; as many without `empty_layer` as the rootfs of `step` has layers.
   * `created` is left out of those that this build adds.
   */
  readonly history: readonly History[];
  /** `created` of the base image; undefined for scratch. */
  readonly baseCreated: string | undefined;
}

/** What is to be built for one platform. */
export interface BuildGraph {
  readonly target: StageOutput;
  /** Every reachable step once; inputs stand before the steps that read them. */
  readonly steps: readonly Step[];
  /** Base images by the name the Dockerfile gives them: for metadata and provenance. */
  readonly bases: readonly { readonly reference: string; readonly descriptor: Descriptor }[];
  /** Build args that count in it, in the order of lines. */
  readonly args: readonly UsedArg[];
}
