/** The pulses of all daemons: rates are added, counts of the database that they share are taken once. */

import { batch, computed, signal } from "@preact/signals";
import { config } from "./session.ts";
import { followRuns, runKeys, takeRuns } from "./runs.ts";
import { listen } from "./watch.ts";
import { parseShown } from "../model/json_tokens.ts";
import { hasEnded, type RunStatus } from "../model/progress.ts";

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

export interface Beat extends Pulse {
  /** When it came and when it was sent, in milliseconds. */
  readonly at: number;
}

export interface Figures {
  readonly accepted: number;
  readonly refused: number;
  readonly duplicate: number;
  readonly lag: number | null;
}

const MOST_HISTORY = 60;
const SILENT_MS = 10_000;
const SKEW_MS = 500;

const beats = signal<ReadonlyMap<string, Beat>>(new Map());
export const history = signal<readonly Figures[]>([]);
/** The daemon's clock less this machine's, in milliseconds. */
export const clockSkew = signal(0);

export const daemons = computed(() => [...beats.value.values()].filter((beat) => Date.now() - beat.at < SILENT_MS));

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
export const alerting = computed(() =>
  Object.entries(newest.value?.alerts ?? {}).filter(([, severity]) => severity !== "ok"),
);
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
  beats.value = new Map(beats.value).set(pulse.daemon_id, { ...pulse, at: Date.now() });
  const now = figures.value;
  if (now !== null && pulse.daemon_id === newest.value?.daemon_id)
    history.value = [...history.value, now].slice(-MOST_HISTORY);
}

export function followPulses(): void {
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
