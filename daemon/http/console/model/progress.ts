/** How far a run has come, from the counts under its status key. */

export interface RunStatus {
  readonly run_id: string;
  readonly operation?: string;
  readonly status: string;
  readonly requested?: number;
  readonly replayed?: number;
  readonly skipped?: number;
  readonly still_failed?: number;
  readonly discarded?: number;
  readonly started_at?: string;
  readonly ended_at?: string | null;
  readonly version?: number;
}

export interface Progress {
  readonly sent: number;
  readonly requested: number;
  readonly replayed: number;
  readonly stillFailed: number;
  readonly skipped: number;
  readonly discarded: number;
  readonly waiting: number;
  readonly ended: boolean;
}

const CUT_SHORT = new Set(["failed", "aborted"]);
const ENDED = new Set(["succeeded", ...CUT_SHORT]);

export const hasEnded = (status: string | null | undefined): boolean => ENDED.has(status ?? "");

export function progressOf(runs: readonly RunStatus[]): Progress {
  const sum = (field: "requested" | "replayed" | "skipped" | "still_failed" | "discarded"): number =>
    runs.reduce((total, run) => total + (run[field] ?? 0), 0);
  const requested = sum("requested");
  const decided = sum("replayed") + sum("skipped") + sum("still_failed") + sum("discarded");
  // What a run that was cut short left behind is skipped, and was never sent.
  const left = runs.reduce((total, run) => total + (CUT_SHORT.has(run.status) ? (run.skipped ?? 0) : 0), 0);
  return {
    sent: decided - left,
    requested,
    replayed: sum("replayed"),
    stillFailed: sum("still_failed"),
    skipped: sum("skipped"),
    discarded: sum("discarded"),
    waiting: Math.max(0, requested - decided),
    ended: runs.length > 0 && runs.every((run) => hasEnded(run.status)),
  };
}

export interface Sample {
  readonly at: number;
  readonly sent: number;
}

/** Items a second over the last samples, and the seconds that the rest will take; null where nothing can be told. */
export function pace(samples: readonly Sample[], waiting: number): { perSecond: number; seconds: number } | null {
  const last = samples.at(-1);
  const first = samples.find((sample) => last !== undefined && last.at - sample.at <= 10_000);
  if (!last || !first || last.at - first.at < 500 || last.sent <= first.sent) return null;
  const perSecond = ((last.sent - first.sent) * 1000) / (last.at - first.at);
  return { perSecond, seconds: waiting / perSecond };
}

/** The newer of two views of one thing: they are told apart by their versions, whichever way they came. */
export function newer<V extends { readonly version?: number }>(known: V | null, came: V): V {
  return known === null || (came.version ?? 0) >= (known.version ?? 0) ? came : known;
}
