import type { Location } from "./location.ts";

/** What all instructions carry. Strings are raw: not expanded, quotes kept, unless their comment says otherwise. */
export interface InstructionBase {
  readonly location: Location;
  /** The instruction as one line, the way `docker history` shows it: continuation joined, keyword in upper case. */
  readonly text: string;
  /** The instruction's name as it was written. */
  readonly keyword?: string;
}

/** A here-document. `content` is final where `expand` is false; else its variables are expanded with the instruction. */
export interface Heredoc {
  readonly name: string;
  readonly content: string;
  readonly expand: boolean;
  /** `<<-`: leading tabs were removed. */
  readonly chomp: boolean;
  readonly fileDescriptor: number;
}

/** A command in shell form (one string, heredocs behind it) or exec form (JSON array). */
export type Command =
  | { readonly form: "shell"; readonly script: string; readonly heredocs: readonly Heredoc[] }
  | { readonly form: "exec"; readonly args: readonly string[] };

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** Written in the old form, without an equals sign. */
  readonly legacy?: boolean;
}

export interface FromInstruction extends InstructionBase {
  readonly kind: "FROM";
  readonly image: string;
  readonly platform?: string;
  /** As written; names are compared in lower case. */
  readonly stageName?: string;
  /** The word between image and name as it was written. */
  readonly asKeyword?: string;
}

/** Options of one `RUN --mount`, raw, in order: `[["type","cache"],["target","/x"],["readonly",undefined]]`. */
export interface RunMountFlag {
  readonly raw: string;
  readonly options: readonly (readonly [name: string, value: string | undefined])[];
}

export interface RunInstruction extends InstructionBase {
  readonly kind: "RUN";
  readonly command: Command;
  readonly mounts: readonly RunMountFlag[];
  readonly network?: string;
  readonly security?: string;
  readonly devices: readonly string[];
}

/** A source of COPY or ADD: a path, wildcard, URL or git reference as written, or an inline file. */
export type CopySourceWord =
  | { readonly kind: "word"; readonly word: string }
  | { readonly kind: "heredoc"; readonly heredoc: Heredoc };

export interface CopyInstruction extends InstructionBase {
  readonly kind: "COPY";
  readonly sources: readonly CopySourceWord[];
  readonly destination: string;
  readonly from?: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly link: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
}

export interface AddInstruction extends InstructionBase {
  readonly kind: "ADD";
  readonly sources: readonly CopySourceWord[];
  readonly destination: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly link: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  readonly checksum?: string;
  readonly keepGitDir?: boolean;
  readonly unpack?: boolean;
}

export interface CmdInstruction extends InstructionBase {
  readonly kind: "CMD";
  readonly command: Command;
}
export interface EntrypointInstruction extends InstructionBase {
  readonly kind: "ENTRYPOINT";
  readonly command: Command;
}
export interface LabelInstruction extends InstructionBase {
  readonly kind: "LABEL";
  readonly labels: readonly KeyValue[];
}
export interface MaintainerInstruction extends InstructionBase {
  readonly kind: "MAINTAINER";
  readonly maintainer: string;
}
export interface ExposeInstruction extends InstructionBase {
  readonly kind: "EXPOSE";
  readonly ports: readonly string[];
}
export interface EnvInstruction extends InstructionBase {
  readonly kind: "ENV";
  readonly variables: readonly KeyValue[];
}
export interface VolumeInstruction extends InstructionBase {
  readonly kind: "VOLUME";
  readonly volumes: readonly string[];
}
export interface UserInstruction extends InstructionBase {
  readonly kind: "USER";
  readonly user: string;
}
export interface WorkdirInstruction extends InstructionBase {
  readonly kind: "WORKDIR";
  readonly path: string;
}
export interface ArgInstruction extends InstructionBase {
  readonly kind: "ARG";
  /** `value` is absent where no default was written. */
  readonly args: readonly { readonly name: string; readonly value?: string }[];
}
export interface OnbuildInstruction extends InstructionBase {
  readonly kind: "ONBUILD";
  /** The trigger's text, as it goes into the config's OnBuild; `parseTrigger` makes an instruction of it. */
  readonly trigger: string;
}
export interface StopsignalInstruction extends InstructionBase {
  readonly kind: "STOPSIGNAL";
  readonly signal: string;
}
export interface HealthcheckInstruction extends InstructionBase {
  readonly kind: "HEALTHCHECK";
  /** `NONE` disables what the base inherited. Durations in nanoseconds; undefined where the flag is absent. */
  readonly test: { readonly type: "NONE" } | { readonly type: "CMD"; readonly command: Command };
  readonly interval?: number;
  readonly timeout?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly retries?: number;
}
export interface ShellInstruction extends InstructionBase {
  readonly kind: "SHELL";
  readonly shell: readonly string[];
}

/** Every instruction of the Dockerfile reference. */
export type Instruction =
  | FromInstruction
  | RunInstruction
  | CmdInstruction
  | LabelInstruction
  | MaintainerInstruction
  | ExposeInstruction
  | EnvInstruction
  | AddInstruction
  | CopyInstruction
  | EntrypointInstruction
  | VolumeInstruction
  | UserInstruction
  | WorkdirInstruction
  | ArgInstruction
  | OnbuildInstruction
  | StopsignalInstruction
  | HealthcheckInstruction
  | ShellInstruction;

/** The instructions from one FROM to the next. */
export interface Stage {
  readonly from: FromInstruction;
  /** Without `from`. */
  readonly instructions: readonly Instruction[];
}

/** A rule of docs/checks.md that a Dockerfile breaks; it does not stop the build. */
export interface Warning {
  /** BuildKit's name of the rule, such as `StageNameCasing`. */
  readonly rule: string;
  readonly message: string;
  readonly location: Location;
}

/** `# syntax=`, `# escape=` and `# check=` as found. */
export interface Directives {
  readonly syntax?: string;
  readonly escape: "\\" | "`";
  readonly check?: {
    readonly skip: readonly string[] | "all";
    readonly error: boolean;
    /** Experimental rules that are to be checked as well. */
    readonly experimental?: readonly string[] | "all";
  };
}

export interface Dockerfile {
  readonly file: string;
  readonly text: string;
  readonly directives: Directives;
  /** ARG instructions before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
}
