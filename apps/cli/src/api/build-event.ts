/** A step: `step` is a number that names it in this build; file and line are where its instruction stands. */
export interface StepWords {
  readonly step: number;
  /** Such as `[build 2/4] RUN npm ci`. */
  readonly name: string;
  readonly file?: string;
  readonly line?: number;
}

/** A step and the numbers of the steps that it reads. `stage` is absent for base images. */
export interface GraphStep extends StepWords {
  readonly platform: string;
  readonly stage?: string;
  readonly inputs: readonly number[];
}

/** Why a step runs: docs/explain.md. */
export interface StepReason {
  readonly kind: "first-build" | "no-cache" | "evicted" | "unfinished" | "changed" | "unknown";
  /** One line, such as `package-lock.json changed in step 3`. */
  readonly text: string;
  /** What changed, each with its `type`. */
  readonly causes: readonly { readonly type: string }[];
}

/** What a build tells while it goes: a line of `--progress=json`. `time` in ms since 1970, `duration` in ms. */
export type BuildEvent =
  /** All steps that the build needs, inputs before what reads them. Comes again where a build begins anew. */
  | { readonly type: "graph"; readonly steps: readonly GraphStep[] }
  | (StepWords & { readonly type: "step-started"; readonly time: number; readonly reason?: StepReason })
  /** `source`: where the record came from; `duration`: what the step took when it ran; `size`: bytes of its layer. */
  | (StepWords & {
      readonly type: "step-cached";
      readonly time: number;
      readonly source: "local" | "remote" | "waited";
      readonly duration?: number;
      readonly size?: number;
    })
  /** `layer`: the digest of the layer that the step made. */
  | (StepWords & {
      readonly type: "step-finished";
      readonly time: number;
      readonly duration: number;
      readonly layer?: string;
    })
  | (StepWords & {
      readonly type: "step-failed";
      readonly time: number;
      readonly error: { readonly message: string; readonly code?: string; readonly hint?: string };
    })
  /** Output of a RUN, as it came; not cut at lines. */
  | (StepWords & { readonly type: "step-output"; readonly stream: "stdout" | "stderr"; readonly text: string })
  /** Bytes moved; `name` is the same for all events of one transfer. */
  | {
      readonly type: "transfer";
      readonly direction: "pull" | "push" | "download";
      readonly name: string;
      readonly current: number;
      readonly total?: number;
      readonly done: boolean;
    }
  | {
      readonly type: "phase";
      readonly name: string;
      readonly state: "started" | "finished";
      readonly time: number;
    }
  /** file and line: what it is about. */
  | { readonly type: "warning"; readonly message: string; readonly file?: string; readonly line?: number }
  | { readonly type: "note"; readonly message: string };
