/**
 * What is raised: an event tells each step as it is made, a pulse all severities every few seconds. A daemon's pulse may
 * tell of a step only after its next look at the rules, so what an event said since listening began stands.
 */

import { computed, signal } from "@preact/signals";
import { WORDS, withMove, type AlertMove } from "../model/alerts.ts";
import { SKEW_MS, clockSkew, common } from "./pulse.ts";
import { listenToEvents } from "./watch.ts";

/** The newest step of each rule that was heard since listening began. */
export const moves = signal<ReadonlyMap<string, AlertMove>>(new Map());
/** How many steps were heard, and how often the page did not listen for a while: marks for those who look. */
export const moveCount = signal(0);
export const gaps = signal(0);

/** Rules that are raised and their severities, the worst first. */
export const alerting = computed<readonly (readonly [string, string])[]>(() => {
  const severities = new Map(Object.entries(common.value?.alerts ?? {}));
  for (const [rule, move] of moves.value) severities.set(rule, move.severity);
  return [...severities].filter(([, severity]) => severity !== "ok").sort(([a, one], [b, other]) => WORDS.indexOf(one) - WORDS.indexOf(other) || (a < b ? -1 : 1));
});

/** When listening began, by this machine's clock. */
let since = 0;

function hear(move: AlertMove): void {
  const newest = withMove(moves.peek(), move, since + clockSkew.peek() - SKEW_MS);
  if (newest === moves.peek()) return;
  moves.value = newest;
  moveCount.value += 1;
}

export function followAlerts(): void {
  let begun = false;
  listenToEvents<AlertMove>("alert.>", hear, () => {
    moves.value = new Map();
    since = Date.now();
    if (begun) gaps.value += 1;
    begun = true;
  });
}
