import type { BuildNotes, StepNote } from "./step-note.ts";

/** Comparing more steps of one stage with each other than this many pairs costs more than it tells. */
const MOST_PAIRS = 4_000_000;

/** How stages without a name are called; their numbers change with the stages before them. */
const UNNAMED = /^(?:stage-\d+)?$/;

/**
 * Which step of an earlier build each step of `after` stands for, by position: stage by stage, the same instruction
 * first (the longest common sequence), then what stands between two such and is of the same kind. Steps that the
 * earlier build did not reach stand for none.
 */
export function pairSteps(after: BuildNotes, before: BuildNotes): ReadonlyMap<number, number> {
  const pairs = new Map<number, number>();
  for (const [now, old] of pairStages(after, before)) pairStage({ after, before, now, old }, pairs);
  return pairs;
}

type Positions = readonly number[];

/** Stages of one name; then unnamed ones without a partner, the last with the last. */
function pairStages(after: BuildNotes, before: BuildNotes): readonly (readonly [Positions, Positions])[] {
  const now = stagesOf(after, () => true);
  const old = stagesOf(before, ({ keys }) => keys.length > 0);
  const named = [...now].flatMap(([name, steps]) => {
    const partner = old.get(name);
    return partner === undefined ? [] : [[steps, partner] as const];
  });
  const isUnnamed = (notes: BuildNotes, [first = 0]: Positions): boolean => UNNAMED.test(notes[first]?.stage ?? "");
  const lonely = [...now.values()].filter((steps) => !named.some(([a]) => a === steps) && isUnnamed(after, steps));
  const left = [...old.values()].filter((steps) => !named.some(([, b]) => b === steps) && isUnnamed(before, steps));
  const count = Math.min(lonely.length, left.length);
  const rest = Array.from({ length: count }, (_, back) => [lonely.at(-1 - back)!, left.at(-1 - back)!] as const);
  return [...named, ...rest.filter(([a, b]) => after[a[0] ?? 0]?.platform === before[b[0] ?? 0]?.platform)];
}

function stagesOf(notes: BuildNotes, isKnown: (note: StepNote) => boolean): ReadonlyMap<string, Positions> {
  const stages = new Map<string, number[]>();
  for (const [position, note] of notes.entries()) {
    const { kind, stage, platform } = note;
    if (kind === "from" || !isKnown(note)) continue;
    const name = JSON.stringify([stage, platform]);
    const steps = stages.get(name) ?? [];
    steps.push(position);
    stages.set(name, steps);
  }
  return stages;
}

interface StagePair {
  readonly after: BuildNotes;
  readonly before: BuildNotes;
  readonly now: Positions;
  readonly old: Positions;
}

function pairStage({ after, before, now, old }: StagePair, pairs: Map<number, number>): void {
  const isSame = (a: number, b: number): boolean =>
    after[a]?.kind === before[b]?.kind && after[a]?.text === before[b]?.text;
  const isAlike = (a: number, b: number): boolean => after[a]?.kind === before[b]?.kind;
  let [a, b] = [0, 0];
  for (const [nextA, nextB] of [...commonSequence(now, old, isSame), [now.length, old.length] as const]) {
    for (const [x, y] of pairInOrder(now.slice(a, nextA), old.slice(b, nextB), isAlike)) pairs.set(x, y);
    if (nextA < now.length) pairs.set(now[nextA]!, old[nextB]!);
    [a, b] = [nextA + 1, nextB + 1];
  }
}

/** Each member with the first that is left and alike, never going back. */
function pairInOrder(
  now: Positions,
  old: Positions,
  isAlike: (a: number, b: number) => boolean,
): readonly (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = [];
  let next = 0;
  for (const a of now) {
    const found = old.findIndex((b, position) => position >= next && isAlike(a, b));
    if (found < 0) continue;
    pairs.push([a, old[found]!]);
    next = found + 1;
  }
  return pairs;
}

/** Indexes into both lists of the longest sequence of equal members; equal ends are cut off first. */
function commonSequence(
  now: Positions,
  old: Positions,
  isSame: (a: number, b: number) => boolean,
): readonly (readonly [number, number])[] {
  let start = 0;
  while (start < Math.min(now.length, old.length) && isSame(now[start]!, old[start]!)) start += 1;
  let end = 0;
  while (end < Math.min(now.length, old.length) - start && isSame(now.at(-1 - end)!, old.at(-1 - end)!)) end += 1;
  const middle = longestCommon(now.slice(start, now.length - end), old.slice(start, old.length - end), isSame);
  return [
    ...Array.from({ length: start }, (_, each) => [each, each] as const),
    ...middle.map(([a, b]) => [a + start, b + start] as const),
    ...Array.from({ length: end }, (_, each) => [now.length - end + each, old.length - end + each] as const),
  ];
}

/** By the table of lengths from the ends: Hirschberg's memory saving is not needed for a few hundred steps. */
function longestCommon(
  now: Positions,
  old: Positions,
  isSame: (a: number, b: number) => boolean,
): readonly (readonly [number, number])[] {
  const width = old.length + 1;
  if (now.length * old.length > MOST_PAIRS) return [];
  const lengths = new Uint32Array((now.length + 1) * width);
  const at = (a: number, b: number): number => lengths[a * width + b] ?? 0;
  for (let a = now.length - 1; a >= 0; a -= 1) {
    for (let b = old.length - 1; b >= 0; b -= 1)
      lengths[a * width + b] = isSame(now[a]!, old[b]!) ? at(a + 1, b + 1) + 1 : Math.max(at(a + 1, b), at(a, b + 1));
  }
  const found: (readonly [number, number])[] = [];
  for (let [a, b] = [0, 0]; a < now.length && b < old.length;) {
    if (isSame(now[a]!, old[b]!)) found.push([a++, b++]);
    else if (at(a + 1, b) >= at(a, b + 1)) a += 1;
    else b += 1;
  }
  return found;
}
