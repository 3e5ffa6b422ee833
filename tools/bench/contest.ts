/** Runs contestants in turn, A B C A B C …, so that ratios hold while the machine's speed drifts. */
import { measure, median, type Outcome } from "./measure.ts";

/** Something that does a scenario's work, as a whole process. */
export interface Contestant {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Before each run, outside of its time. */
  readonly before?: () => unknown;
  /** Numbers that a run tells about itself. */
  readonly counters?: (outcome: Outcome) => Readonly<Record<string, number>>;
}

/** What the first contestant must keep to. Times in milliseconds. */
export type Bound =
  /** At most `factor` times the rival, plus a constant. */
  | { readonly kind: "ratio"; readonly rival: string; readonly factor: number; readonly plus?: number }
  /** At most this long for each of `items`, after what `less` (a contestant) takes. */
  | { readonly kind: "each"; readonly items: number; readonly less?: string; readonly most: number }
  | { readonly kind: "counter"; readonly counter: string; readonly most: number };

export interface Contest {
  /** The first one is varve, whose bounds are checked. */
  readonly contestants: readonly [Contestant, ...Contestant[]];
  readonly bounds: readonly Bound[];
}

export interface Figure {
  readonly name: string;
  /** Milliseconds, in the order of the runs. */
  readonly walls: readonly number[];
  /** Median. */
  readonly wall: number;
  /** The largest of all runs, in MiB. */
  readonly peak: number | undefined;
  /** Medians. */
  readonly counters: Readonly<Record<string, number>>;
}

export interface Verdict {
  readonly text: string;
  /** What was found, in the unit of `limit`. */
  readonly value: number;
  readonly limit: number;
  readonly kept: boolean;
}

export interface ContestResult {
  readonly figures: readonly Figure[];
  readonly verdicts: readonly Verdict[];
}

/** No scenario may take more memory: MiB. */
const LARGEST_PEAK = 400;

/** Runs every contestant once to warm up and then `runs` times. */
export async function holdContest(contest: Contest, runs: number): Promise<ContestResult> {
  const outcomes = new Map<Contestant, Outcome[]>(contest.contestants.map((each) => [each, []]));
  for (let run = -1; run < runs; run += 1) {
    for (const [contestant, found] of outcomes) {
      await contestant.before?.();
      const outcome = await measure(contestant.command, contestant);
      if (run >= 0) found.push(outcome);
    }
  }
  const figures = [...outcomes].map(([contestant, found]) => summarize(contestant, found));
  return { figures, verdicts: judge(figures, contest.bounds) };
}

function summarize({ name, counters }: Contestant, outcomes: readonly Outcome[]): Figure {
  const walls = outcomes.map(({ wall }) => wall);
  const peaks = outcomes.flatMap(({ peak }) => peak ?? []);
  const told = outcomes.map((outcome) => counters?.(outcome) ?? {});
  const names = Object.keys(told[0] ?? {});
  return {
    name,
    walls,
    wall: median(walls),
    peak: peaks.length === 0 ? undefined : Math.max(...peaks) / 1024,
    counters: Object.fromEntries(names.map((each) => [each, median(told.map((values) => values[each] ?? 0))])),
  };
}

function judge(figures: readonly Figure[], bounds: readonly Bound[]): readonly Verdict[] {
  const [own] = figures;
  if (own === undefined) return [];
  const verdicts = bounds.flatMap((bound) => judgeOne(own, figures, bound) ?? []);
  if (own.peak === undefined) return verdicts;
  return [...verdicts, verdict("peak memory, MiB", own.peak, LARGEST_PEAK)];
}

function judgeOne(own: Figure, figures: readonly Figure[], bound: Bound): Verdict | undefined {
  switch (bound.kind) {
    case "ratio": {
      const rival = figures.find(({ name }) => name === bound.rival);
      if (rival === undefined) return undefined;
      const { factor, plus = 0 } = bound;
      const ratios = own.walls.map((wall, run) => (wall - plus) / (rival.walls[run] ?? Number.NaN));
      return verdict(`${plus === 0 ? "" : `less ${plus} ms, `}times ${bound.rival}`, median(ratios), factor);
    }
    case "each": {
      const less = figures.find(({ name }) => name === bound.less)?.wall ?? 0;
      const unit = bound.items === 1 ? "ms" : "ms each";
      return verdict(less === 0 ? unit : `${unit}, less ${bound.less}`, (own.wall - less) / bound.items, bound.most);
    }
    case "counter":
      return verdict(bound.counter, own.counters[bound.counter] ?? Number.NaN, bound.most);
    default:
      return bound satisfies never;
  }
}

function verdict(text: string, value: number, limit: number): Verdict {
  return { text, value, limit, kept: value <= limit };
}
