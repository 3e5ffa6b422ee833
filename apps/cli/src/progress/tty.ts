import type { BuildEvent } from "@varve/executor";
import { createBuildView, tellingReason } from "./build-view.ts";
import type { Color } from "./colors.ts";
import { createLiveArea } from "./live-area.ts";
import { formatSeconds, type Progress, type Screen, shortName, type Subject } from "./progress.ts";
import { type Line, MARGIN, renderLive } from "./render-live.ts";
import { fitText, printable, textWidth } from "./text-width.ts";

/** As many found steps in a row are told one by one; more in one line. */
const MOST_CACHED = 12;

type CachedEvent = Extract<BuildEvent, { type: "step-cached" }>;

/** What is done scrolls away above; what goes on is redrawn below. */
export function createTtyProgress(screen: Screen): Progress {
  const { apply, view } = createBuildView(Date.now());
  const area = createLiveArea(screen, () => renderLive(view(), { ...sizeOf(screen), now: Date.now() }));
  const reasons = new Map<Subject, string | undefined>();
  let cached: CachedEvent[] = [];
  const flush = (): readonly Line[] => {
    const lines = describeCached(cached, screen);
    cached = [];
    return lines;
  };
  const tell = (lines: readonly Line[]): void => area.above([...flush(), ...lines]);
  return {
    onEvent(event) {
      apply(event);
      if (event.type === "step-cached") cached.push(event);
      if (event.type === "step-started") reasons.set(event.step, tellingReason(event));
      const lines = describeEvent(event, { screen, reason: "step" in event ? reasons.get(event.step) : undefined });
      if (lines.length > 0 || (event.type === "step-started" && cached.length > 0)) tell(lines);
    },
    note: (text) => tell([{ text }]),
    end() {
      const now = Date.now();
      const stopped = view().running.filter(({ subject }) => typeof subject !== "string");
      const lines = stopped.map(({ subject, started }) =>
        finalLine("STOPPED", subject, { screen, color: "yellow", behind: `after ${formatSeconds(now - started)}` }),
      );
      area.end([...flush(), ...lines.flat()]);
    },
  };
}

function sizeOf({ columns, rows }: Screen): { readonly columns: number; readonly rows: number } {
  return { columns, rows };
}

interface EventContext {
  readonly screen: Screen;
  readonly reason: string | undefined;
}

/** The lines that stay of an event. */
function describeEvent(event: BuildEvent, { screen, reason }: EventContext): readonly Line[] {
  switch (event.type) {
    case "step-finished":
      return event.step.kind === "from"
        ? []
        : finalLine(formatSeconds(event.duration), event.step, { screen, color: "green", behind: reason });
    case "step-failed":
      return finalLine("ERROR", event.step, { screen, color: "red", behind: reason });
    case "warning":
      return [{ text: `${"WARNING".padStart(MARGIN)}  ${printable(event.message)}`, color: "yellow" }];
    case "graph":
    case "step-started":
    case "step-cached":
    case "step-output":
    case "transfer":
    case "phase":
      return [];
    default:
      return event satisfies never;
  }
}

interface FinalLine {
  readonly screen: Screen;
  readonly color: Color;
  /** Told behind the name, or beneath it where there is no room. */
  readonly behind: string | undefined;
}

function finalLine(word: string, subject: Subject, { screen, color, behind }: FinalLine): readonly Line[] {
  const width = Math.max(20, screen.columns - 1);
  const name = shortName(subject, width - MARGIN - 2);
  const text = `${word.padStart(MARGIN)}  ${name}`;
  if (behind === undefined) return [{ text, color }];
  const room = width - textWidth(text) - 3;
  if (room >= textWidth(behind)) return [{ text: `${text}   ${behind}`, color }];
  return [
    { text, color },
    { text: fitText(`${" ".repeat(MARGIN + 2)}${behind}`, width), color: "dim" },
  ];
}

const SOURCES = { local: "CACHED", remote: "REMOTE", waited: "WAITED" } as const;

function describeCached(events: readonly CachedEvent[], screen: Screen): readonly Line[] {
  const lines = events.flatMap(({ step, source }) =>
    finalLine(SOURCES[source], step, { screen, color: "dim", behind: undefined }),
  );
  if (lines.length <= MOST_CACHED) return lines;
  const hidden = lines.length - 2;
  const between: Line = { text: `${"…".padStart(MARGIN)}  and ${hidden} more`, color: "dim" };
  return [...lines.slice(0, 1), between, ...lines.slice(-1)];
}
