/** Two texts, line by line. */

export interface Line {
  readonly change: "same" | "removed" | "added";
  readonly text: string;
}

/** Beyond so many changed lines the rest is told as removed and added whole. */
const MOST_CHANGES = 400;

/** What two texts share at their begin and end, in whole lines, and what is between. */
interface Parts {
  readonly before: string;
  readonly was: string;
  readonly now: string;
  readonly after: string;
}

function parts(was: string, now: string): Parts {
  const most = Math.min(was.length, now.length);
  let start = 0;
  while (start < most && was.charCodeAt(start) === now.charCodeAt(start)) start++;
  start = was.lastIndexOf("\n", start - 1) + 1;
  let end = 0;
  while (end < most - start && was.charCodeAt(was.length - 1 - end) === now.charCodeAt(now.length - 1 - end)) end++;
  const line = was.indexOf("\n", was.length - end);
  end = line < 0 || end === 0 ? 0 : was.length - line;
  return {
    before: was.slice(0, start),
    was: was.slice(start, was.length - end),
    now: now.slice(start, now.length - end),
    after: was.slice(was.length - end),
  };
}

/** Which of several texts `now` came from: the one that it shares most with. */
export function nearest(candidates: readonly string[], now: string): string {
  const apart = (was: string): number => {
    const found = parts(was, now);
    return found.was.length + found.now.length;
  };
  return candidates.reduce((best, each) => (apart(each) < apart(best) ? each : best));
}

const told = (lines: readonly string[], change: Line["change"]): Line[] => lines.map((text) => ({ change, text }));

/** The lines of both in order. */
export function lineDifference(was: string, now: string): Line[] {
  if (was === now) return told(was.split("\n"), "same");
  const found = parts(was, now);
  return [
    ...told(found.before.split("\n").slice(0, -1), "same"),
    ...middle(found.was.split("\n"), found.now.split("\n")),
    ...told(found.after.split("\n").slice(1), "same"),
  ];
}

/** How many lines changed; one that was replaced counts once. */
export function changedLines(was: string, now: string): number {
  if (was === now) return 0;
  const found = parts(was, now);
  const lines = middle(found.was.split("\n"), found.now.split("\n"));
  const removed = lines.filter((line) => line.change === "removed").length;
  const added = lines.filter((line) => line.change === "added").length;
  return Math.max(removed, added);
}

/** The shortest way from one to the other (Myers 1986): quick where little changed, however long the texts are. */
function middle(a: readonly string[], b: readonly string[]): Line[] {
  const most = Math.min(a.length + b.length, MOST_CHANGES);
  const zero = most + 1;
  const reached = new Int32Array(2 * most + 3);
  const steps: Int32Array[] = [];
  for (let changes = 0; changes <= most; changes++) {
    steps.push(reached.slice(zero - changes - 1, zero + changes + 2));
    for (let lead = -changes; lead <= changes; lead += 2) {
      const [less, more] = [reached[zero + lead - 1] ?? 0, reached[zero + lead + 1] ?? 0];
      let x = lead === -changes || (lead !== changes && less < more) ? more : less + 1;
      while (x < a.length && x - lead < b.length && a[x] === b[x - lead]) x++;
      reached[zero + lead] = x;
      if (x >= a.length && x - lead >= b.length) return way(a, b, steps);
    }
  }
  return [...told(a, "removed"), ...told(b, "added")];
}

/** Back from the end of both texts, step by step. */
function way(a: readonly string[], b: readonly string[], steps: readonly Int32Array[]): Line[] {
  const lines: Line[] = [];
  let [x, y] = [a.length, b.length];
  for (let changes = steps.length - 1; changes >= 0; changes--) {
    const reached = (lead: number): number => steps[changes]?.[lead + changes + 1] ?? 0;
    const lead = x - y;
    const isAdded = lead === -changes || (lead !== changes && reached(lead - 1) < reached(lead + 1));
    const from = changes === 0 ? 0 : reached(isAdded ? lead + 1 : lead - 1);
    const fromY = changes === 0 ? 0 : from - (isAdded ? lead + 1 : lead - 1);
    while (x > from && y > fromY) lines.push({ change: "same", text: a[--x] ?? "" }), y--;
    if (changes > 0) lines.push(isAdded ? { change: "added", text: b[--y] ?? "" } : { change: "removed", text: a[--x] ?? "" });
  }
  return lines.reverse();
}
