/** Draws the times of all scenarios as bars, each scenario on a scale of its own. */
import type { Figure } from "./contest.ts";
import type { Report } from "./report.ts";

const WIDTH = 860;
const LABEL = 170;
const BAR = { height: 16, gap: 4 };
const TITLE_HEIGHT = 30;
const STYLE =
  "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.value{font-size:12px}.own{fill:#0a7d5a}.rival{fill:#b6bec8}svg{background:#fff}";

/** An SVG of one bar for each figure. */
export function drawChart({ scenarios }: Report): string {
  const parts: string[] = [];
  let top = 10;
  for (const { title, figures } of scenarios) {
    parts.push(`<text class="title" x="10" y="${top + 18}">${escape(title)}</text>`);
    top += TITLE_HEIGHT;
    const longest = Math.max(...figures.map(({ wall }) => wall));
    for (const [position, figure] of figures.entries()) {
      parts.push(drawBar(figure, { top, longest, kind: position === 0 ? "own" : "rival" }));
      top += BAR.height + BAR.gap;
    }
    top += 8;
  }
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" role="img">`;
  return `${[open, `<style>${STYLE}</style>`, ...parts, "</svg>"].join("\n")}\n`;
}

function drawBar(
  { name, wall }: Figure,
  { top, longest, kind }: { readonly top: number; readonly longest: number; readonly kind: "own" | "rival" },
): string {
  const width = Math.max(1, ((WIDTH - LABEL - 90) * wall) / longest);
  const middle = top + BAR.height - 3;
  const time = wall < 1000 ? `${wall.toFixed(0)} ms` : `${(wall / 1000).toFixed(2)} s`;
  return [
    `<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${escape(name)}</text>`,
    `<rect class="${kind}" x="${LABEL}" y="${top}" width="${width.toFixed(1)}" height="${BAR.height}" rx="2"/>`,
    `<text class="value" x="${(LABEL + width + 6).toFixed(1)}" y="${middle}">${time}</text>`,
  ].join("");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
