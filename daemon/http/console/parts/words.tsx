/** States as a word and a shape, never as a colour alone; ids in fixed width, cut where they are long. */

import type { VNode } from "preact";
import { measured } from "../model/measures.ts";
import { cut, visible } from "../model/text.ts";
import { Instant } from "./time.tsx";

type Tone = "good" | "busy" | "warn" | "bad" | "quiet";

const SHAPES: Readonly<Record<Tone, string>> = { good: "✓", busy: "●", warn: "▲", bad: "✕", quiet: "◌" };

const TONES: Readonly<Record<string, Tone>> = {
  healthy: "good",
  degraded: "warn",
  unhealthy: "bad",
  "not ready": "bad",
  open: "warn",
  replaying: "busy",
  resolved: "good",
  discarded: "quiet",
  running: "busy",
  succeeded: "good",
  failed: "bad",
  aborted: "quiet",
  replayed: "good",
  still_failed: "bad",
  skipped: "quiet",
  CREATED: "quiet",
  UPLOADED: "quiet",
  QUEUED: "busy",
  TRANSCRIBING: "busy",
  DRAFTING: "busy",
  AWAITING_APPROVAL: "warn",
  RENDERING: "busy",
  READY: "good",
  DONE: "good",
  FAILED: "bad",
  CANCELLED: "quiet",
  ok: "good",
  warning: "warn",
  critical: "bad",
  active: "warn",
  suppressed: "quiet",
  acknowledged: "quiet",
  quiet: "quiet",
  idle: "quiet",
  stale: "warn",
  stopped: "quiet",
  completed: "good",
  error: "bad",
  accepted: "good",
  duplicate: "quiet",
  refused: "bad",
  VALID: "good",
  WARN: "warn",
  INVALID: "bad",
  anomaly: "warn",
};

/** A state as it is called, or as it is said to people where the contract says so. */
const SAID: Readonly<Record<string, string>> = { still_failed: "again refused" };

export function State({ of: state }: { of: string | null | undefined }): VNode {
  if (!state) return <span>–</span>;
  const tone = TONES[state] ?? "quiet";
  return (
    <span class={`state ${tone}`}>
      <span aria-hidden="true">{SHAPES[tone]}</span> {visible(SAID[state] ?? state)}
    </span>
  );
}

/** What is longer may be cut by its column: the whole of it is told by the pointer too. */
const MOST_SEEN = 12;

/** A text of others in one line. */
export function Text({ of: text, most = 200 }: { of: string | null | undefined; most?: number }): VNode {
  if (text === null || text === undefined || text === "") return <span class="none">–</span>;
  return <span title={text.length > MOST_SEEN ? visible(text.slice(0, 2_000)) : undefined}>{visible(cut(text, most))}</span>;
}

export function Id({ of: id, short = false }: { of: string | null | undefined; short?: boolean }): VNode {
  if (!id) return <span class="none">–</span>;
  return (
    <span class="mono" title={visible(id)}>
      {short && id.length > 13 ? `${visible(id.slice(0, 13))}…` : visible(cut(id, 120))}
    </span>
  );
}

/** The fields of an object in one line; what is empty tells nothing. */
export function Details({ of: details }: { of: unknown }): VNode | null {
  if (details === null || typeof details !== "object" || Array.isArray(details)) return details ? <Value of={details} /> : null;
  const told = Object.entries(details).filter(
    ([, value]) => value !== null && value !== "" && !(typeof value === "object" && Object.keys(value).length === 0),
  );
  if (told.length === 0) return null;
  return (
    <span class="details">
      {told.map(([name, value]) => (
        <span>
          {name !== "more" && <span class="soft">{visible(measured(name, value)?.name ?? name.replaceAll("_", " "))} </span>}
          <Detail name={name} of={value} />
        </span>
      ))}
    </span>
  );
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/;

function Detail({ name, of: value }: { name: string; of: unknown }): VNode {
  if (typeof value === "object" && !Array.isArray(value)) return <Details of={value} />;
  const told = measured(name, value);
  if (told !== null)
    return (
      <span class="mono" title={`${name} ${String(value)}`}>
        {told.figure}
      </span>
    );
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return <Value of={value.join(", ")} />;
  // All times on the page are in one zone.
  return typeof value === "string" && INSTANT.test(value) ? <Instant at={value} /> : <Value of={value} />;
}

/** Any value, for looking at only. */
export function Value({ of: value }: { of: unknown }): VNode {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return <span class="mono">{visible(cut(text ?? "–", 400))}</span>;
}
