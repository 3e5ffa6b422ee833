import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { formatShare } from "./format.js";
import { hitRate, type HourCounts } from "./stats.js";

interface ActivityChartProps {
  readonly hours: readonly HourCounts[];
  /** ms since 1970. */
  readonly since: number;
  readonly until: number;
}

const HOUR = 60 * 60 * 1000;
const HEIGHT = 220;

/** Records asked for, hour by hour: hits below, misses above them. */
export function ActivityChart({ hours, since, until }: ActivityChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    chart.current = new uPlot(chartOptions(element.clientWidth), [[], [], []], element);
    const observer = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.current?.destroy();
    };
  }, []);
  useEffect(() => chart.current?.setData(chartData({ hours, since, until })), [hours, since, until]);
  return (
    <section>
      <div class="heading">
        <h2>Records asked for</h2>
        <span class="note">by the hour; the misses stand upon the hits</span>
      </div>
      <div ref={place} id="activity" />
    </section>
  );
}

/** Times in s, then misses with hits beneath, then hits: the later series is drawn over the earlier one. */
function chartData({ hours, since, until }: ActivityChartProps): uPlot.AlignedData {
  const counted = new Map(hours.map((each) => [Date.parse(each.hour), each]));
  const first = Math.ceil(since / HOUR) * HOUR;
  const times = Array.from(
    { length: Math.max(1, Math.floor((until - first) / HOUR) + 1) },
    (_, at) => first + at * HOUR,
  );
  const all = times.map((time) => counted.get(time));
  return [
    times.map((time) => time / 1000),
    all.map((each) => (each === undefined ? 0 : each.hits + each.misses)),
    all.map((each) => each?.hits ?? 0),
  ];
}

function chartOptions(width: number): uPlot.Options {
  const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = {
    stroke: () => color("--quiet"),
    grid: { stroke: () => color("--line"), width: 1 },
    ticks: { show: false },
  };
  const bars = uPlot.paths.bars?.({ size: [0.8, 40], gap: 1 });
  const series = (label: string, name: string, show: uPlot.Series.Value): uPlot.Series => ({
    label,
    ...(bars === undefined ? {} : { paths: bars }),
    fill: () => color(name),
    stroke: () => color(name),
    points: { show: false },
    value: show,
  });
  return {
    width,
    height: HEIGHT,
    cursor: { y: false, points: { show: false } },
    scales: { y: { range: (_, __, highest) => [0, Math.max(10, highest * 1.05)] } },
    axes: [axis, { ...axis, size: 60 }],
    series: [
      {},
      series("misses", "--miss", (self, _, __, at) =>
        at === null ? "–" : String(valueAt(self, 1, at) - valueAt(self, 2, at)),
      ),
      series("hits", "--hit", (self, _, __, at) =>
        at === null ? "–" : describeHits(valueAt(self, 2, at), valueAt(self, 1, at)),
      ),
    ],
  };
}

function valueAt(chart: uPlot, series: number, at: number): number {
  return chart.data[series]?.[at] ?? 0;
}

function describeHits(hits: number, all: number): string {
  return `${hits} (${formatShare(hitRate({ hits, misses: all - hits }))})`;
}
