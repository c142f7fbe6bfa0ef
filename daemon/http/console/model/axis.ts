/** Axes of charts: round figures up the side, as many names below as there is room for, no gap left out of a time. */

const STEPS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** The least round figure that is not below `most`; half of it is round too. */
export function roundUp(most: number): number {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  // A hair's breadth below: 0.30000000000000004 is 0.3.
  const step = STEPS.find((each) => each * power >= most * (1 - 1e-9)) ?? 10;
  return Number((step * power).toPrecision(3));
}

const HOUR_MS = 3_600_000;
const MOST_FILLED = 2_000;

const UNITS: Readonly<Record<string, { readonly ms: number; readonly read: (key: string) => string; readonly length: number }>> = {
  day: { ms: 24 * HOUR_MS, read: (key) => `${key}T00:00:00Z`, length: 10 },
  hour: { ms: HOUR_MS, read: (key) => `${key}:00:00Z`, length: 13 },
};

/** The days or hours from the first to the last of `keys`, those in which nothing was used too; other keys as they are. */
export function withGaps(keys: readonly string[], unit: string): readonly string[] {
  const known = UNITS[unit];
  const sorted = [...keys].sort();
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (known === undefined || first === undefined || last === undefined) return sorted;
  const [from, to] = [Date.parse(known.read(first)), Date.parse(known.read(last))];
  const steps = (to - from) / known.ms;
  if (!Number.isInteger(steps) || steps >= MOST_FILLED) return sorted;
  return Array.from({ length: steps + 1 }, (_, at) => new Date(from + at * known.ms).toISOString().slice(0, known.length));
}

/** Names for groups of neighbours: the first of each group, and over how many it stands. */
export function namesBelow(names: readonly string[], most: number): readonly { readonly name: string; readonly over: number }[] {
  const over = Math.max(1, Math.ceil(names.length / most));
  return Array.from({ length: Math.ceil(names.length / over) }, (_, at) => ({
    name: names[at * over] ?? "",
    over: Math.min(over, names.length - at * over),
  }));
}
