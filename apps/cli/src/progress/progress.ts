import type { BuildEvent } from "@varve/executor";
import type { Step } from "@varve/graph";
import { fitText, printable } from "./text-width.ts";

/** Shows a build while it goes. */
export interface Progress {
  onEvent(event: BuildEvent): void;
  /** A line that is no event of the build. */
  note(text: string): void;
  /** Ends the display; nothing is written after it. `error`: what ended the build, which is told by others. */
  end(error?: unknown): void;
}

/** Where a display writes: a terminal, or what takes its place. */
export interface Screen {
  write(text: string): void;
  readonly columns: number;
  readonly rows: number;
  readonly colors: boolean;
}

/** Seconds with one decimal, minutes from a minute on. */
export function formatSeconds(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  return `${Math.floor(seconds / 60)}m ${(seconds % 60).toFixed(0).padStart(2, "0")}s`;
}

/** Bytes in units of 1000, as registries and buildx show them. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}

/** What a line of progress is about: a step, or a phase by its name. */
export type Subject = Step | string;

/** The name of a step or phase on one line, at most `width` columns. */
export function shortName(subject: Subject, width: number): string {
  return fitText(printable(typeof subject === "string" ? subject : subject.name), Math.max(0, width));
}

/** What an error says, without its further lines. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0] ?? "";
}
