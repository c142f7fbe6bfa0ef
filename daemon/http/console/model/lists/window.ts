/** Which rows of a long list stand in the document. */

/** So many do, whatever the height of the screen: a little scrolling finds them there. */
const WANTED = 48;
const LEAST_MARGIN = 8;

/** From and to, of `rows`, where `seen` are in sight from `first` on: as many at the ends as in the middle. */
export function windowOf(first: number, seen: number, rows: number): [number, number] {
  const wanted = Math.max(WANTED, seen + 2 * LEAST_MARGIN);
  const from = Math.max(0, Math.min(first - Math.floor((wanted - seen) / 2), rows - wanted));
  return [from, Math.min(rows, from + wanted)];
}
