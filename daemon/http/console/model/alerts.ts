/** Alerts in the order in which somebody has to look at them, and what an event changes in one. */

export interface Standing {
  readonly rule: string;
  readonly severity: string;
  readonly lifecycle: string;
  readonly value: string | number | null;
  readonly since: string | null;
  readonly evaluated_at?: string | null;
  readonly acknowledged_by?: string | null;
  readonly suppressed_until?: string | null;
  readonly suppressed_by?: string | null;
  readonly suppression_reason?: string | null;
}

/** The payload of `event.alert.<rule>.<severity>`: a step, with what holds after it. */
export interface AlertMove {
  readonly rule: string;
  readonly version: number;
  readonly at: string;
  readonly what: string;
  readonly severity: string;
  readonly lifecycle: string;
  readonly value: string | number | null;
  readonly from?: { readonly severity?: string; readonly lifecycle?: string };
  readonly actor?: string;
  readonly reason?: string;
  readonly until?: string;
}

/** What is raised and nobody has comes first, what is well comes last. */
export const WORDS = ["critical", "warning", "quiet", "suppressed", "ok"];

/** An alert in one word: its severity, unless somebody has it or it is kept quiet. */
export function wordOf(alert: Standing): string {
  if (alert.lifecycle === "suppressed") return "suppressed";
  return alert.severity !== "ok" && alert.acknowledged_by ? "quiet" : alert.severity;
}

/** The worst first; of those that are equal what moved last. */
export function ranked<A extends Standing>(alerts: readonly A[]): A[] {
  const rank = (alert: A): number => (WORDS.indexOf(wordOf(alert)) + 1 || WORDS.length + 1) * 3 + SEVERITIES.indexOf(alert.severity);
  const since = (alert: A): number => Date.parse(alert.since ?? "") || 0;
  return [...alerts].sort((a, b) => rank(a) - rank(b) || since(b) - since(a) || (a.rule < b.rule ? -1 : 1));
}

const SEVERITIES = ["critical", "warning", "ok"];

/** The rules of `order` in that order, whatever became of them; new ones below, for rows do not move by themselves. */
export function inOrder<A extends Standing>(alerts: readonly A[], order: readonly string[]): A[] {
  const place = new Map(order.map((rule, at) => [rule, at]));
  const known = alerts.filter(({ rule }) => place.has(rule)).sort((a, b) => (place.get(a.rule) ?? 0) - (place.get(b.rule) ?? 0));
  return [...known, ...ranked(alerts.filter(({ rule }) => !place.has(rule)))];
}

/**
 * The newest step of each rule, with one more that was heard. One from before `since`, when listening began, is left out:
 * what a dead daemon has not told comes late, and a newer step may have been told when nobody listened yet.
 */
export function withMove(moves: ReadonlyMap<string, AlertMove>, move: AlertMove, since: number): ReadonlyMap<string, AlertMove> {
  const known = moves.get(move.rule);
  if (Date.parse(move.at) < since || (known !== undefined && known.version >= move.version)) return moves;
  return new Map(moves).set(move.rule, move);
}

/** An answer with the steps that were heard since: the newest of each rule tells what holds. */
export const current = <A extends Standing>(alerts: readonly A[], moves: ReadonlyMap<string, AlertMove>): A[] =>
  alerts.map((alert) => {
    const move = moves.get(alert.rule);
    const known = Math.max(Date.parse(alert.since ?? "") || 0, Date.parse(alert.evaluated_at ?? "") || 0);
    return move !== undefined && Date.parse(move.at) > known ? moved(alert, move) : alert;
  });

/** The alert after a step of it. */
export function moved<A extends Standing>(alert: A, { severity, lifecycle, value, at, what, from, actor, reason, until }: AlertMove): A {
  const stays = from?.severity === severity && from.lifecycle === lifecycle;
  const hasEnded = severity === "ok";
  const suppression =
    what === "suppressed"
      ? { suppressed_until: until ?? null, suppressed_by: actor ?? null, suppression_reason: reason ?? null }
      : lifecycle === "suppressed"
        ? {}
        : { suppressed_until: null, suppressed_by: null, suppression_reason: null };
  const acknowledgement = what === "acknowledged" ? { acknowledged_by: actor ?? null } : hasEnded ? { acknowledged_by: null } : {};
  return { ...alert, severity, lifecycle, value, since: stays ? alert.since : at, ...suppression, ...acknowledgement };
}
