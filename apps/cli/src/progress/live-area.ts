import { paint } from "./colors.ts";
import type { Screen } from "./progress.ts";
import type { Line } from "./render-live.ts";
import { textWidth } from "./text-width.ts";

/** Milliseconds between two drawings. */
const INTERVAL = 100;
const HIDE_CURSOR = "\u001B[?25l";
const SHOW_CURSOR = "\u001B[?25h";
/** Terminals that know them show nothing half drawn between these: mode 2026. */
const BEGIN_UPDATE = "\u001B[?2026h";
const END_UPDATE = "\u001B[?2026l";
const ERASE_BELOW = "\u001B[0J";

/** Lines at the bottom of the screen that are drawn again and again, and what scrolls away above them. */
export interface LiveArea {
  /** Writes lines above the area. */
  above(lines: readonly Line[]): void;
  /** Erases the area, writes `lines` in its place and shows the cursor; nothing is drawn after it. */
  end(lines: readonly Line[]): void;
}

/** A live area that asks `render` for its lines, ten times a second. */
export function createLiveArea(screen: Screen, render: () => readonly Line[]): LiveArea {
  let drawn: readonly number[] = [];
  let isEnded = false;
  const print = (lines: readonly Line[]): string => lines.map((line) => `${painted(line, screen)}\n`).join("");
  const erase = (): string => {
    const rows = rowsOf(drawn, screen.columns);
    return rows === 0 ? "" : `\u001B[${Math.min(rows, screen.rows)}F${ERASE_BELOW}`;
  };
  const draw = (lines: readonly Line[]): void => {
    if (isEnded) return;
    const shown = render();
    screen.write(`${BEGIN_UPDATE}${HIDE_CURSOR}${erase()}${print(lines)}${print(shown)}${END_UPDATE}`);
    drawn = shown.map(({ text }) => textWidth(text));
  };
  const timer = setInterval(() => draw([]), INTERVAL);
  timer.unref();
  return {
    above: draw,
    end(lines) {
      if (isEnded) return;
      isEnded = true;
      clearInterval(timer);
      screen.write(`${erase()}${print(lines)}${SHOW_CURSOR}`);
    },
  };
}

function painted({ text, color }: Line, { colors }: Screen): string {
  return color === undefined || !colors ? text : paint(color, text);
}

/** A terminal that was made narrower since has folded what was drawn. */
function rowsOf(widths: readonly number[], columns: number): number {
  return widths.reduce((rows, width) => rows + Math.max(1, Math.ceil(width / Math.max(1, columns))), 0);
}
