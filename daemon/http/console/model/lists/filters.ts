/** Filters: chips, their text form, the address and the command's payload are one value, a list of terms. */

import { instantOf } from "../time.ts";

export interface Term {
  readonly key: string;
  readonly value: string;
}

export type Terms = readonly Term[];

/** The keys of dead letters with the field of the command each becomes. */
export const LETTER_KEYS: Readonly<Record<string, string>> = {
  state: "states",
  kind: "kinds",
  code: "codes",
  path: "paths",
  producer: "producers",
  id: "ids",
  message: "message_ids",
  trace: "trace_ids",
  since: "since",
  until: "until",
};

const SINGLE = new Set(["since", "until"]);
const ANY = "any";

export function sameTerm(one: Term, other: Term): boolean {
  return one.key === other.key && one.value === other.value;
}

/** `terms` with one more; one of a key that has one value only replaces it. */
export function withTerm(terms: Terms, term: Term): Terms {
  const single = SINGLE.has(term.key);
  const kept = terms.filter((each) => !sameTerm(each, term) && !(single && each.key === term.key));
  return [...kept, term];
}

export const withoutTerm = (terms: Terms, term: Term): Terms => terms.filter((each) => !sameTerm(each, term));

const BARE = /^[^\s":]+[^\s"]*$/;

export function termText(term: Term): string {
  return `${term.key}:${term.value === "" || BARE.test(term.value) ? term.value : JSON.stringify(term.value)}`;
}

export const filterText = (terms: Terms): string => terms.map(termText).join(" ");

const WRITTEN = /([a-z_]+):("(?:[^"\\]|\\.)*"|\S*)|(\S+)/g;

export interface Parsed {
  readonly terms: Terms;
  /** What is no term of one of the keys. */
  readonly unknown: readonly string[];
}

/** The terms that a text names. */
export function parseFilter(text: string, keys: Iterable<string>): Parsed {
  const known = new Set(keys);
  let terms: Terms = [];
  const unknown: string[] = [];
  for (const match of text.matchAll(WRITTEN)) {
    const [whole, key, written] = match;
    const value = key === undefined ? null : unquoted(written ?? "");
    if (key !== undefined && known.has(key) && value !== null) terms = withTerm(terms, { key, value });
    else unknown.push(whole);
  }
  return { terms, unknown };
}

function unquoted(written: string): string | null {
  if (!written.startsWith('"')) return written;
  try {
    const value: unknown = JSON.parse(written);
    return typeof value === "string" ? value : null;
  } catch {
    return null;
  }
}

/** The terms in an address, in their order; other keys are the view's own. */
export function termsOf(query: URLSearchParams, keys: Iterable<string>): Terms {
  const known = new Set(keys);
  let terms: Terms = [];
  for (const [key, value] of query) if (known.has(key)) terms = withTerm(terms, { key, value });
  return terms;
}

/** `query` with `terms` in place of those that it had. */
export function withTerms(query: URLSearchParams, terms: Terms, keys: Iterable<string>): URLSearchParams {
  const known = new Set(keys);
  const next = new URLSearchParams([...query].filter(([key]) => !known.has(key)));
  for (const { key, value } of terms) next.append(key, value);
  return next;
}

/** Dead letters are looked at for what is open, unless the address says `state=any` or another state. */
export function letterTerms(query: URLSearchParams): Terms {
  const terms = termsOf(query, Object.keys(LETTER_KEYS));
  return terms.some((term) => term.key === "state") ? terms : [{ key: "state", value: "open" }, ...terms];
}

export function letterQuery(query: URLSearchParams, terms: Terms): URLSearchParams {
  const states = terms.filter((term) => term.key === "state");
  const only = states.length === 1 ? states[0]?.value : undefined;
  const rest = terms.filter((term) => term.key !== "state");
  const said = states.length === 0 ? [{ key: "state", value: ANY }] : only === "open" ? [] : states;
  return withTerms(query, [...said, ...rest], Object.keys(LETTER_KEYS));
}

/** A group as `dead-letters groups` tells it. */
export interface GroupKey {
  readonly kind: string;
  readonly code: string;
  readonly paths: readonly string[];
  readonly producer: string | null;
}

/** The terms that name exactly one group. */
export function groupTerms(group: GroupKey): Terms {
  return [
    { key: "kind", value: group.kind },
    { key: "code", value: group.code },
    { key: "path", value: group.paths.join(",") },
    { key: "producer", value: group.producer ?? "" },
  ];
}

/** `terms` narrowed to one group: what it says of kind, code, paths and producer gives way. */
export function narrowed(terms: Terms, group: GroupKey): Terms {
  const named = groupTerms(group);
  return [...terms.filter((term) => !named.some((each) => each.key === term.key)), ...named];
}

export type Payload = Record<string, unknown>;

/** The fields of `dead-letters` and `replay-failed` that terms mean. Relative times become absolute as of `now`. */
export function letterPayload(terms: Terms, now: number): Payload {
  const payload: Record<string, unknown[] | string> = {};
  for (const { key, value } of terms) {
    const field = LETTER_KEYS[key];
    if (field === undefined || value === ANY) continue;
    if (SINGLE.has(key)) {
      const instant = instantOf(value, now);
      if (instant !== null) payload[field] = instant;
      continue;
    }
    const list = Array.isArray(payload[field]) ? payload[field] : (payload[field] = []);
    list.push(key === "path" ? (value === "" ? [] : value.split(",")) : key === "producer" && value === "" ? null : value);
  }
  return payload;
}

/** Whether a payload says which letters are meant: states alone do not. */
export function narrows(payload: Payload): boolean {
  return Object.keys(payload).some((field) => field !== "states" && Object.values(LETTER_KEYS).includes(field));
}

/** What is wrong with a term; null where nothing is. */
export function faultOf(term: Term, now: number): string | null {
  if (SINGLE.has(term.key) && instantOf(term.value, now) === null)
    return `${term.key}: write 30m, 24h, 7d or a time such as 2026-11-28T09:00:00Z`;
  return null;
}
