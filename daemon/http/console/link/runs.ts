/**
 * Runs by their status keys: one subscription for all. A run tells of itself twice a second; the page hears all of it,
 * and takes it over once a second at most, and with a pulse where one comes: drawing costs more than hearing. What goes on
 * for long, and so moves slowly, waits for the pulse.
 */

import { effect, signal, untracked } from "@preact/signals";
import { hasEnded, newer, type RunStatus } from "../model/progress.ts";
import { getKey, watchKeys, whileHere, type Stop } from "./watch.ts";

/** A little more than half the time between two pulses, and a little more than the whole. */
const AT_FIRST_MS = 1_100;
const LATER_MS = 2_200;
const LONG_MS = 10_000;
const MOST_KEPT = 200;

/** Running operations by their keys, and those that ended while the page looked. */
export const runKeys = signal<ReadonlyMap<string, RunStatus>>(new Map());

const heard = new Map<string, RunStatus>();
let takenAt = 0;
/** Since when there has been no pause. */
let beganAt = 0;
let heardAt = 0;
let timer = 0;

/** Take over what was heard. */
export function takeRuns(): void {
  clearTimeout(timer);
  timer = 0;
  takenAt = Date.now();
  if (heard.size === 0) return;
  const known = new Map([...runKeys.peek(), ...heard]);
  heard.clear();
  while (known.size > MOST_KEPT) known.delete(known.keys().next().value ?? "");
  runKeys.value = known;
}

function hear(run: RunStatus): void {
  const known = heard.get(run.run_id) ?? runKeys.peek().get(run.run_id) ?? null;
  if (newer(known, run) !== run) return;
  heard.set(run.run_id, run);
  const now = Date.now();
  if (now - heardAt > LONG_MS) beganAt = now;
  heardAt = now;
  const rest = takenAt + (now - beganAt > LONG_MS ? LATER_MS : AT_FIRST_MS) - now;
  if (known === null || rest <= 0 || hasEnded(run.status)) takeRuns();
  else timer ||= setTimeout(takeRuns, rest) as unknown as number;
}

export const followRuns = (): Stop => watchKeys<RunStatus>("run", hear);

/** Calls `onRun` with the present status of a run, and with each that follows. */
export function watchRun(id: string, onRun: (run: RunStatus) => void): Stop {
  let last: RunStatus | undefined;
  const stop = effect(() => {
    const run = runKeys.value.get(id);
    if (run === undefined || run === last) return;
    last = run;
    untracked(() => onRun(run));
  });
  // It may have told of itself before the page listened, or while it did not.
  const leave = whileHere(() => getKey<RunStatus>(`run.${id}`, hear));
  return () => {
    stop();
    leave();
  };
}
