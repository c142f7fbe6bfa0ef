/** Two texts, line by line. */

export interface Line {
  readonly change: "same" | "removed" | "added";
  readonly text: string;
}

const MOST_CELLS = 4_000_000;

/** The lines of both in order; a large change in the middle is told as removed and added whole. */
export function lineDifference(was: string, now: string): Line[] {
  const [a, b] = [was.split("\n"), now.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const same = (lines: string[]): Line[] => lines.map((text) => ({ change: "same", text }));
  return [
    ...same(a.slice(0, start)),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...same(a.slice(a.length - end)),
  ];
}

function middle(a: string[], b: string[]): Line[] {
  if (a.length * b.length > MOST_CELLS || !a.length || !b.length)
    return [
      ...a.map((text): Line => ({ change: "removed", text })),
      ...b.map((text): Line => ({ change: "added", text })),
    ];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  const cell = (i: number, j: number): number => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      longest[i * width + j] = a[i] === b[j] ? cell(i + 1, j + 1) + 1 : Math.max(cell(i + 1, j), cell(i, j + 1));
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) lines.push({ change: "same", text: a[i++] ?? "" }), j++;
    else if (j >= b.length || (i < a.length && cell(i + 1, j) >= cell(i, j + 1)))
      lines.push({ change: "removed", text: a[i++] ?? "" });
    else lines.push({ change: "added", text: b[j++] ?? "" });
  }
  return lines;
}

/** Changed lines; one that was replaced counts once. */
export function changedLines(lines: readonly Line[]): number {
  const removed = lines.filter((line) => line.change === "removed").length;
  const added = lines.filter((line) => line.change === "added").length;
  return Math.max(removed, added);
}
