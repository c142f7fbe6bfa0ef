/** What a round of healing found, and what it did about it: a row for each kind of thing. */

import type { VNode } from "preact";
import { count, visible } from "../model/text.ts";

const COUNTS = ["found", "republished", "given_up"];

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null && !Array.isArray(value);

export function HealingTable({ by }: { by: unknown }): VNode | null {
  const rows = isObject(by) ? Object.entries(by).filter(([, counts]) => isObject(counts)) : [];
  if (rows.length === 0) return null;
  return (
    <table aria-label="What was looked after">
      <thead>
        <tr>
          <th>of</th>
          {COUNTS.map((name) => (
            <th class="numeric">{name.replace("_", " ")}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, counts]) => (
          <tr>
            <td>{visible(name.replaceAll("_", " "))}</td>
            {COUNTS.map((each) => {
              const value = isObject(counts) ? counts[each] : undefined;
              return <td class="numeric">{typeof value === "number" ? count(value) : "–"}</td>;
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
