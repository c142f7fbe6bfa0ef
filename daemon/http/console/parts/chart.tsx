/** Small pictures of figures, drawn as SVG in the theme's colours. Each stands beside the same figures as text. */

import type { VNode } from "preact";
import { namesBelow, roundUp } from "../model/axis.ts";

/** A line of the last values; its scale is its own. */
export function Sparkline({ values, label }: { values: readonly number[]; label: string }): VNode | null {
  if (values.length < 2) return null;
  const most = Math.max(...values, 1e-9);
  const points = values.map((value, at) => `${((at / (values.length - 1)) * 80).toFixed(1)},${(18 - (value / most) * 16).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 80 20" preserveAspectRatio="none" role="img" aria-label={label}>
      <title>{label}</title>
      <polyline points={points.join(" ")} />
    </svg>
  );
}

export interface Bar {
  readonly label: string;
  readonly parts: readonly { readonly name: string; readonly value: number; readonly text: string }[];
}

interface ColumnsProps {
  readonly bars: readonly Bar[];
  readonly label: string;
  readonly series: readonly string[];
  /** A figure of the axis, with its unit. */
  readonly figure: (value: number) => string;
  /** What the axes are of. */
  readonly axes: string;
}

const MOST_NAMES = 8;
const HIGH = 40;

/** Columns, stacked where they have parts. Its table is the caller's. */
export function Columns({ bars, label, series, figure, axes }: ColumnsProps): VNode {
  const totals = bars.map((bar) => bar.parts.reduce((sum, part) => sum + part.value, 0));
  const most = roundUp(Math.max(...totals, 0));
  const width = 100 / Math.max(bars.length, 1);
  const names = namesBelow(bars.map((bar) => bar.label), MOST_NAMES);
  return (
    <figure class="columns">
      <div class="axis up" aria-hidden="true">
        {[most, most / 2, 0].map((value) => (
          <span>{figure(value)}</span>
        ))}
      </div>
      <svg viewBox={`0 0 100 ${HIGH}`} preserveAspectRatio="none" role="img" aria-label={label}>
        {[0, HIGH / 2].map((y) => (
          <line class="rule" x1="0" x2="100" y1={y} y2={y} />
        ))}
        {bars.map((bar, at) => {
          let below = 0;
          return bar.parts.map((part) => {
            const height = (part.value / most) * HIGH;
            below += height;
            return (
              <rect
                class={`series-${series.indexOf(part.name) % 8}`}
                x={at * width + width * 0.1}
                y={HIGH - below}
                width={width * 0.8}
                height={height}
              >
                <title>{`${bar.label} ${part.name}: ${part.text}`}</title>
              </rect>
            );
          });
        })}
      </svg>
      <div class={`axis along${names.some(({ over }) => over > 1) ? " some" : ""}`} aria-hidden="true">
        {names.map(({ name, over }) => (
          <span title={name} style={{ flexGrow: over }}>
            {name}
          </span>
        ))}
      </div>
      <figcaption>
        <span class="soft">{axes}</span>
        {series.map((name, at) => (
          <span class="legend">
            <svg viewBox="0 0 10 10" aria-hidden="true">
              <rect class={`series-${at % 8}`} width="10" height="10" />
            </svg>{" "}
            {name}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

/** How much of a whole is done; words stand beside it. */
export function Meter({ value, most, label }: { value: number; most: number; label: string }): VNode {
  return <progress value={Math.min(value, most)} max={Math.max(most, 1)} aria-label={label} />;
}
