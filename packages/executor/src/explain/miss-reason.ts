/** Which step of the build a cause lies in; absent from a cause where it is the step that missed. */
export interface CausePlace {
  /** "" in a Dockerfile of one unnamed stage. */
  readonly stage: string;
  /** In its stage; FROM is 1. */
  readonly position: number;
}

/** Paths in a build context: how many, and the first of them. */
export interface NamedFiles {
  readonly count: number;
  readonly names: readonly string[];
}

/** Files in which two inputs differ. */
export interface FileChanges {
  readonly changed: NamedFiles;
  readonly added: NamedFiles;
  readonly removed: NamedFiles;
  /** Gone, and named by the ignore file now. */
  readonly ignored: NamedFiles;
  /** Contents alike, permissions not: `run.sh (644 -> 755)`. */
  readonly modes: NamedFiles;
}

/** One thing in which a step's key, or what it stands on, differs from the nearest earlier build's. */
export type Cause =
  | { readonly type: "instruction-changed"; readonly before: string; readonly after: string; readonly at?: CausePlace }
  | { readonly type: "instruction-added"; readonly after: string; readonly at?: CausePlace }
  | { readonly type: "instruction-removed"; readonly before: string; readonly at?: CausePlace }
  /** A build arg or an environment variable; undefined where it was not set. */
  | {
      readonly type: "variable";
      readonly kind: "ARG" | "ENV";
      readonly name: string;
      readonly before: string | undefined;
      readonly after: string | undefined;
      readonly at?: CausePlace;
    }
  /** Anything else that the key covers: USER, WORKDIR, SHELL, --network … */
  | {
      readonly type: "option";
      readonly name: string;
      readonly before: string | undefined;
      readonly after: string | undefined;
      readonly at?: CausePlace;
    }
  /** `files` undefined: the earlier names are no longer known. */
  | { readonly type: "files"; readonly source: string; readonly files?: FileChanges; readonly at?: CausePlace }
  /** What a URL or a repository holds. */
  | {
      readonly type: "source";
      readonly source: string;
      readonly before: string | undefined;
      readonly after: string | undefined;
      readonly at?: CausePlace;
    }
  | {
      readonly type: "base";
      readonly before: { readonly reference: string; readonly digest?: string };
      readonly after: { readonly reference: string; readonly digest?: string };
      readonly at?: CausePlace;
    }
  /** A step that ran again under the same key and made something else. */
  | { readonly type: "result"; readonly text: string; readonly at?: CausePlace };

/** Why a step has to run. `text` says it in one line, without the step's name. */
export interface MissReason {
  /**
   * `first-build`: nothing of this Dockerfile, stage or instruction was built here before; `no-cache`: it was asked for;
   * `evicted`: the same key was built, and its result is gone; `unfinished`: the same key was begun the last time; `changed`:
   * the causes say what.
   */
  readonly kind: "first-build" | "no-cache" | "evicted" | "unfinished" | "changed" | "unknown";
  readonly text: string;
  readonly causes: readonly Cause[];
}
