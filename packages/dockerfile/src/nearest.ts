/**
 * The one of `candidates` that `word` was probably meant to be: at most a third of its letters (and at least one)
 * differ, case aside; undefined where none is that close.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > limit) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance <= limit && distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** Names, such as the keys of a map, and how many they are at most. */
interface Candidates {
  readonly size: number;
  keys(): Iterable<string>;
}

/** Looks for a name as `nearest` does. */
export type FindNearest = (word: string, candidates: Candidates) => string | undefined;

/** Comparisons that a Dockerfile's checks may take: far more than any that people write needs. */
const MAX_COMPARISONS = 100_000;

/**
 * `nearest` for many words: it finds none any more once it has compared 100,000 candidates in all, so that its time
 * does not grow with the square of a file.
 */
export function createNearest(): FindNearest {
  let left = MAX_COMPARISONS;
  return (word, candidates) => {
    left -= candidates.size;
    return left < 0 ? undefined : nearest(word, candidates.keys());
  };
}

/**
 * Letters to insert, remove, replace or swap with their neighbour to make `b` of `a`: optimal string alignment, row by
 * row.
 */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const cost = (line: number, column: number): number => rows[line]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let line = 1; line <= a.length; line += 1) {
    const row = [line];
    rows.push(row);
    for (let column = 1; column <= b.length; column += 1) {
      const isSame = a[line - 1] === b[column - 1];
      const isSwap = a[line - 1] === b[column - 2] && a[line - 2] === b[column - 1];
      const replaced = cost(line - 1, column - 1) + (isSame ? 0 : 1);
      const swapped = isSwap ? cost(line - 2, column - 2) + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min(replaced, swapped, cost(line - 1, column) + 1, cost(line, column - 1) + 1));
    }
  }
  return cost(a.length, b.length);
}
