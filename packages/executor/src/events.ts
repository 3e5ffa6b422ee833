import type { RecordSource } from "@varve/cache";
import type { Location } from "@varve/dockerfile";
import type { Digest } from "@varve/oci";
import type { Step } from "@varve/graph";
import type { SegmentCounts } from "./commit-layer.ts";
import type { MissReason } from "./explain/miss-reason.ts";

/** What a build tells while it goes. `step` objects are those of the build graph, so identity tells them apart. Times in ms since 1970. */
export type BuildEvent =
  /** All steps that the build needs, inputs before what reads them. Told again where a build begins anew. */
  | { readonly type: "graph"; readonly steps: readonly Step[] }
  /** `reason`: why a step that makes a layer has to run. */
  | { readonly type: "step-started"; readonly step: Step; readonly time: number; readonly reason?: MissReason }
  /**
   * `source`: where the record came from; `duration`: milliseconds that the step took when it ran; `size`: bytes of its
   * layer. Both undefined for a step that shares its layer with one of the same build.
   */
  | {
      readonly type: "step-cached";
      readonly step: Step;
      readonly time: number;
      readonly source: RecordSource;
      readonly duration?: number;
      readonly size?: number;
    }
  | {
      readonly type: "step-finished";
      readonly step: Step;
      readonly time: number;
      readonly duration: number;
      readonly layer: Digest | undefined;
      /** Of the layer's blob. */
      readonly segments?: SegmentCounts;
    }
  | { readonly type: "step-failed"; readonly step: Step; readonly time: number; readonly error: unknown }
  /** Output of a RUN, as it came; not cut at lines. */
  | {
      readonly type: "step-output";
      readonly step: Step;
      readonly stream: "stdout" | "stderr";
      readonly chunk: Uint8Array;
    }
  /** Bytes moved; `total` undefined where it is not known. `name` is stable for one transfer. */
  | {
      readonly type: "transfer";
      readonly direction: "pull" | "push" | "download";
      readonly name: string;
      readonly current: number;
      readonly total: number | undefined;
      readonly done: boolean;
    }
  /** A phase that is no step: resolving a base, loading the context, exporting. */
  | { readonly type: "phase"; readonly name: string; readonly state: "started" | "finished"; readonly time: number }
  /** `location`: the lines that it is about. */
  | { readonly type: "warning"; readonly message: string; readonly location?: Location };

export type OnBuildEvent = (event: BuildEvent) => void;
