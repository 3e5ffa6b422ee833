/** What a scenario is, and what several of them share. */
import type { Contest } from "./contest.ts";
import type { Outcome } from "./measure.ts";
import type { Place } from "./place.ts";

/** A work that users wait for. */
export interface Scenario {
  readonly name: string;
  /** What is done, for a reader of the page. */
  readonly title: string;
  /** Makes what the contestants need. */
  contest(place: Place): Promise<Contest>;
}

/** A line of `--progress=json`. */
export interface ProgressLine {
  readonly type: string;
  readonly name?: string;
  readonly segments?: { readonly total: number; readonly reused: number };
}

/** The events of a build with `--progress=json`. */
export function progressLines({ stderr }: Outcome): readonly ProgressLine[] {
  const lines = stderr.split("\n").filter((line) => line.startsWith("{"));
  return lines.map((line) => JSON.parse(line) as ProgressLine);
}

/** A command line for a shell that fails as soon as a part of a pipe does. */
export function pipe(script: string): readonly string[] {
  return ["bash", "-o", "pipefail", "-ec", script];
}
