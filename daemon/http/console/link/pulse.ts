/** The pulses of all daemons: rates are added, counts of the database that they share are taken once. */

import { batch, computed, signal } from "@preact/signals";
import { config } from "./session.ts";
import { followRuns, runKeys, takeRuns } from "./runs.ts";
import { listen, whileHere } from "./watch.ts";
import { parseShown } from "../model/json/json_tokens.ts";
import { hasEnded, type RunStatus } from "../model/progress.ts";
import { heard, isSilent, type Heard } from "../model/silence.ts";

export interface Pulse {
  readonly daemon_id: string;
  readonly version: string;
  readonly ready: boolean;
  readonly obstacles: readonly (string | { dependency?: string; detail?: string })[];
  readonly messages: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly rate_per_second: { readonly accepted: number; readonly refused: number; readonly duplicate: number };
  readonly lag_ms: { readonly p50: number | null; readonly p99: number | null };
  readonly outbox: { readonly rows: number; readonly oldest_s: number | null; readonly failed: number };
  readonly consumers: Readonly<Record<string, { pending: number; unacknowledged: number }>>;
  readonly dead_letters_open: number;
  readonly work_not_taken: readonly string[];
  readonly runs: readonly (RunStatus | string)[];
  readonly alerts: Readonly<Record<string, string>>;
}

export interface Beat extends Pulse, Heard {}

export interface Figures {
  readonly accepted: number;
  readonly refused: number;
  readonly duplicate: number;
  readonly lag: number | null;
}

const MOST_HISTORY = 60;
const LOOK_MS = 2_500;
/** What two readings of a clock may differ by for all that a message was on its way. */
export const SKEW_MS = 500;

const beats = signal<ReadonlyMap<string, Beat>>(new Map());
/** Each with when it was heard, in milliseconds. */
export const history = signal<readonly (Figures & { readonly at: number })[]>([]);
/** The daemon's clock less this machine's, in milliseconds. */
export const clockSkew = signal(0);

/** Those that are heard; where none is any more, those that were heard last. */
export const daemons = computed(() => [...beats.value.values()]);
/** Since when no daemon is heard, in milliseconds; null while one is, and before the first. */
export const silentSince = signal<number | null>(null);
/** When listening began, the last time. */
let since = 0;

const newest = computed(() => daemons.value.reduce<Beat | null>((a, b) => (a === null || b.at > a.at ? b : a), null));

export const figures = computed<Figures | null>(() => {
  const alive = daemons.value;
  if (alive.length === 0) return null;
  const sum = (name: "accepted" | "refused" | "duplicate"): number =>
    alive.reduce((total, beat) => total + (beat.rate_per_second?.[name] ?? 0), 0);
  const lags = alive.flatMap((beat) => beat.lag_ms?.p99 ?? []);
  return {
    accepted: sum("accepted"),
    refused: sum("refused"),
    duplicate: sum("duplicate"),
    lag: lags.length ? Math.max(...lags) : null,
  };
});

/** What all daemons share: the newest pulse tells it. */
export const common = computed(() => newest.value);
export const running = computed(() => {
  const known = new Map(runKeys.value);
  for (const run of newest.value?.runs ?? [])
    if (typeof run !== "string" && !known.has(run.run_id)) known.set(run.run_id, run);
  return [...known.values()].filter((run) => !hasEnded(run.status));
});

/** How many run: a number, so that what shows it is left alone while they go on. */
export const runningCount = computed(() => running.value.length);

function take(text: string): void {
  const envelope = parseShown(text) as { created_at: string; payload: Pulse };
  const pulse = envelope.payload;
  const skew = Date.parse(envelope.created_at) - Date.now();
  // How long a pulse was on its way is no other time: every age on the screen would be drawn anew.
  if (Math.abs(skew - clockSkew.value) > SKEW_MS) clockSkew.value = skew;
  const beat = { ...pulse, ...heard(beats.value.get(pulse.daemon_id), Date.now(), since) };
  beats.value = new Map(beats.value).set(pulse.daemon_id, beat);
  silentSince.value = null;
  const now = figures.value;
  if (now !== null && pulse.daemon_id === newest.value?.daemon_id)
    history.value = [...history.value, { ...now, at: beat.at }].slice(-MOST_HISTORY);
}

/** Leave out who is silent. The last figures stay when all are, with the time that they are of. */
function lookWhoIsSilent(): void {
  const now = Date.now();
  const left = [...beats.value].filter(([, beat]) => !isSilent(beat, since, now));
  if (left.length === beats.value.size) return;
  if (left.length > 0) beats.value = new Map(left);
  else silentSince.value = Math.max(...[...beats.value.values()].map((beat) => beat.at));
}

export function followPulses(): void {
  whileHere(() => {
    since = Date.now();
    const timer = setInterval(lookWhoIsSilent, LOOK_MS);
    return () => clearInterval(timer);
  });
  listen(
    () => `${config.value?.prefix ?? "hg"}.pulse.>`,
    (message) => {
      try {
        batch(() => {
          take(message.string());
          takeRuns();
        });
      } catch {
        // A pulse that cannot be read tells nothing; the next one comes in two seconds.
      }
    },
  );
  followRuns();
}
