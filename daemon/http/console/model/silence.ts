/** When a daemon that tells of itself again and again is heard no longer. */

export interface Heard {
  /** When its last pulse came, in milliseconds. */
  readonly at: number;
  /** Between its last two pulses; null: not known yet. */
  readonly gap: number | null;
}

const LEAST_MS = 10_000;
/** More than the longest time between two pulses that can be set. */
const GAP_UNKNOWN_MS = 65_000;
const MISSED = 3;

/** What is heard at `at`, after `before` and listening since `since`: no gap is measured over a time without listening. */
export function heard(before: Heard | undefined, at: number, since: number): Heard {
  return { at, gap: before === undefined ? null : before.at < since ? before.gap : at - before.at };
}

/** Whether three pulses in a row have not come. Nobody is silent while nobody listens: `since` is when listening began. */
export function isSilent(last: Heard, since: number, now: number): boolean {
  const patience = last.gap === null ? GAP_UNKNOWN_MS : Math.max(LEAST_MS, MISSED * last.gap);
  return now - Math.max(last.at, since) > patience;
}
