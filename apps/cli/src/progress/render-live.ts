import type { BuildView, RunningWork, StageView, TransferEvent } from "./build-view.ts";
import type { Color } from "./colors.ts";
import { formatBytes, formatSeconds, shortName } from "./progress.ts";
import { fitText, padText, textWidth } from "./text-width.ts";

/** A line of the live area; no wider than asked for. */
export interface Line {
  readonly text: string;
  readonly color?: Color;
}

export interface LiveSize {
  readonly columns: number;
  /** Of the whole terminal; the live area takes fewer. */
  readonly rows: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Width of the words and times at the start of lines; two spaces stand behind them. */
export const MARGIN = 8;
const MOST_STAGE_ROWS = 3;
const MOST_TRANSFERS = 4;
const MOST_TAIL = 3;
/** Running steps stand in two columns from this width on. */
const WIDE = 140;
const GAP = "   ";
/** Columns of a transfer's name and its bar. */
const NAME = 12;
const BAR = 24;

/** What goes on, from top to bottom: the count of steps, the stages side by side, running steps, transfers. */
export function renderLive(view: BuildView, { columns, rows, now }: LiveSize): readonly Line[] {
  const width = Math.max(10, columns - 1);
  const height = Math.max(1, rows - 2);
  const head = [renderHeader(view, now), ...renderStages(view.stages, width)].slice(0, Math.max(1, height - 2));
  const transfers = renderTransfers(view.transfers, {
    width,
    most: Math.min(MOST_TRANSFERS, height - head.length - 1),
  });
  const left = height - head.length - transfers.length;
  const running = left < 1 ? [] : renderRunning(view.running, { width, height: left, now });
  return [...head, ...running, ...transfers]
    .slice(0, height)
    .map((line) => ({ ...line, text: fitText(line.text, width) }));
}

function renderHeader({ started, steps, finished, cached }: BuildView, now: number): Line {
  const time = formatSeconds(now - started);
  if (steps === 0) return { text: `[+] Building ${time}` };
  const found = cached === 0 ? "" : `, ${cached} cached`;
  return { text: `[+] Building ${time} (${finished}/${steps} steps${found})` };
}

/** Cells in as few rows as they fit; one stage needs none. */
function renderStages(stages: readonly StageView[], width: number): readonly Line[] {
  if (stages.length < 2) return [];
  const rows: string[] = [];
  let [row, shown] = ["    ", 0];
  for (const cell of stages.map(renderStage)) {
    if (textWidth(row) + textWidth(cell) > width && row.trim() !== "") {
      if (rows.length === MOST_STAGE_ROWS - 1) break;
      rows.push(row);
      row = "    ";
    }
    row += cell + GAP;
    shown += 1;
  }
  const hidden = stages.length - shown;
  const more = `+${hidden} stages`;
  const last = hidden === 0 ? row : `${fitText(row.trimEnd(), width - more.length - GAP.length)}${GAP}${more}`;
  return [...rows, last].map((text) => ({ text: text.trimEnd(), color: "dim" }));
}

function renderStage({ name, steps, finished, isRunning, hasFailed }: StageView): string {
  const mark = hasFailed ? "✗ " : finished === steps ? "✓ " : isRunning ? "● " : "";
  return finished === steps ? mark + name : `${mark}${name} ${finished}/${steps}`;
}

interface Area {
  readonly width: number;
  readonly height: number;
  readonly now: number;
}

function renderRunning(running: readonly RunningWork[], { width, height, now }: Area): readonly Line[] {
  const columns = width >= WIDE && running.length > 1 ? 2 : 1;
  const fitting = Math.min(running.length, height * columns);
  const shown = running.slice(0, fitting < running.length ? Math.max(1, fitting - columns) : fitting);
  const hidden = running.length - shown.length;
  const rows = Math.ceil(shown.length / columns);
  const each = Math.max(1, Math.floor((height - (hidden > 0 ? 1 : 0)) / Math.max(1, rows)));
  const cell = Math.floor((width - GAP.length * (columns - 1)) / columns);
  const blocks = shown.map((work) => renderWork(work, { width: cell, height: each, now }));
  const lines = columns === 1 ? blocks.flat() : besideEachOther(blocks, cell);
  return hidden === 0
    ? lines
    : [...lines, { text: `${" ".repeat(MARGIN + 2)}and ${hidden} more running`, color: "dim" }];
}

/** Name and time, why it runs, its last lines: as much as there is room for. */
function renderWork({ subject, started, reason, tail }: RunningWork, { width, height, now }: Area): readonly Line[] {
  const time = formatSeconds(now - started).padStart(MARGIN);
  const indent = " ".repeat(MARGIN + 2);
  const name = shortName(subject, width - indent.length);
  const why: readonly Line[] = reason === undefined ? [] : [{ text: `${indent}why: ${reason}`, color: "dim" }];
  const room = Math.min(MOST_TAIL, height - 1 - why.length);
  const lines = room <= 0 ? [] : tail.slice(-room).map((text): Line => ({ text: `${indent}│ ${text}`, color: "dim" }));
  const all: readonly Line[] = [{ text: `${time}  ${name}` }, ...why, ...lines];
  return all.slice(0, height).map((line) => ({ ...line, text: fitText(line.text, width) }));
}

function besideEachOther(blocks: readonly (readonly Line[])[], width: number): readonly Line[] {
  const rows: Line[] = [];
  for (let position = 0; position < blocks.length; position += 2) {
    const [left = [], right = []] = blocks.slice(position, position + 2);
    for (let row = 0; row < Math.max(left.length, right.length); row += 1) {
      const [a, b] = [left[row], right[row]];
      const text = `${padText(a?.text ?? "", width)}${GAP}${b?.text ?? ""}`.trimEnd();
      rows.push(row === 0 ? { text } : { text, color: "dim" });
    }
  }
  return rows;
}

function renderTransfers(
  transfers: readonly TransferEvent[],
  { width, most }: { readonly width: number; readonly most: number },
): readonly Line[] {
  if (most < 1) return [];
  const shown = transfers.slice(0, transfers.length > most ? most - 1 : most);
  const lines = shown.map((each) => renderTransfer(each, width));
  const hidden = transfers.slice(shown.length);
  if (hidden.length === 0) return lines;
  const current = hidden.reduce((sum, each) => sum + each.current, 0);
  const rest = `${" ".repeat(MARGIN + 2)}and ${hidden.length} more transfers, ${formatBytes(current)} so far`;
  return [...lines, { text: rest, color: "dim" }];
}

function renderTransfer({ direction, name, current, total }: TransferEvent, width: number): Line {
  const what = `${direction.padStart(MARGIN)}  ${padText(fitText(shortDigest(name), NAME), NAME)}`;
  if (total === undefined || total === 0) return { text: `${what}  ${formatBytes(current)}` };
  const amount = `${formatBytes(current)} of ${formatBytes(total)}`;
  const bar = Math.min(BAR, width - what.length - amount.length - 4);
  if (bar < 1) return { text: `${what}  ${amount}` };
  const filled = Math.round((bar * Math.min(current, total)) / total);
  return { text: `${what}  ${"━".repeat(filled)}${"─".repeat(bar - filled)}  ${amount}` };
}

/** Twelve digits tell layers apart, as everywhere. */
function shortDigest(name: string): string {
  return name.startsWith("sha256:") ? name.slice("sha256:".length, "sha256:".length + NAME) : name;
}
