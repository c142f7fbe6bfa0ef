/** The changed lines of two texts, with a little of what stands around them. */

import type { VNode } from "preact";
import type { Line } from "../model/json/difference.ts";
import { visible } from "../model/text.ts";

const AROUND = 2;
const SIGNS = { same: " ", removed: "-", added: "+" } as const;

export function DifferenceView({ lines }: { lines: readonly Line[] }): VNode {
  const near = new Set<number>();
  lines.forEach((line, at) => {
    if (line.change !== "same") for (let each = at - AROUND; each <= at + AROUND; each++) near.add(each);
  });
  return (
    <pre class="difference" tabIndex={0} aria-label="Difference">
      {lines.map((line, at) =>
        near.has(at) ? (
          <span class={line.change}>
            {SIGNS[line.change]} {visible(line.text, "\t")}
            {"\n"}
          </span>
        ) : near.has(at - 1) ? (
          "…\n"
        ) : null,
      )}
    </pre>
  );
}
