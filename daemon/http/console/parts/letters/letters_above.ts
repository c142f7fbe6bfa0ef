/**
 * What lies above the time that a list of dead letters begins with. The list can be asked for downwards only: a histogram
 * tells up to when there are a few hundred, and the list of just that time is put on top.
 */

import { useCallback, useRef, useState } from "preact/hooks";
import { ask, type Answer } from "../../link/ask.ts";
import type { PayloadOf } from "../../link/commands.ts";
import type { LetterLine, Page } from "../../link/views.ts";
import { stepUp, type Bucket } from "../../model/lists/above.ts";
import type { Problem } from "../../model/errors.ts";
import { sayProblem } from "../shell/outcome.tsx";

const WANTED = 200;
const MOST = 500;
const BUCKETS = 120;
/** From a year of microseconds down to one. */
const MOST_STEPS = 8;
const MOST_PAGES = 40;

type Payload = PayloadOf<"dead-letters">;

export interface Above {
  readonly rows: readonly LetterLine[];
  /** Before when the list begins now; null: with the newest. */
  readonly from: string | null;
  /** Puts more on top. */
  readonly more: () => void;
}

interface Known {
  /** The answer that these rows stand above. */
  readonly of: unknown;
  readonly rows: readonly LetterLine[];
  readonly from: string | null;
}

const NO_ROWS: readonly LetterLine[] = [];

/** What was put on top of the list that begins `from`; nothing again once `below`, its first page, is another. */
export function useAbove(payload: Payload, from: string | null, below: unknown): Above {
  const [known, setKnown] = useState<Known>({ of: null, rows: NO_ROWS, from: null });
  const loading = useRef(false);
  const current = known.of === below ? known : { of: below, rows: NO_ROWS, from };
  const more = useCallback(() => {
    if (loading.current || current.from === null || below === null) return;
    loading.current = true;
    void found(payload, current.from).then((page) => {
      loading.current = false;
      if (page) setKnown({ of: below, rows: [...page.rows, ...current.rows], from: page.from });
    });
  }, [payload, current.from, current.rows, below]);
  return { rows: current.rows, from: current.from, more };
}

type Found = Pick<Known, "rows" | "from">;

/** The letters from an instant on, some hundreds, and up to when these are all; null where it could not be asked. */
async function found(payload: Payload, from: string): Promise<Found | null> {
  const { limit: _, ...filters } = payload;
  const since = typeof payload.since === "string" && Date.parse(payload.since) > Date.parse(from) ? payload.since : from;
  const end = typeof payload.until === "string" ? payload.until : null;
  let look = { since, until: end };
  for (let step = 0; step < MOST_STEPS; step++) {
    const answer = await ask<{ items: readonly Bucket[] }, "dead-letters">("dead-letters", {
      ...filters,
      ...between(look.since, look.until),
      action: "histogram",
      buckets: BUCKETS,
    });
    if (!answer.ok) return failed(answer.problem);
    const next = stepUp(answer.result.items, WANTED, MOST);
    const until = next.kind === "none" ? look.until : (next.until ?? look.until);
    // What was counted may have moved to another state meanwhile: there can be more above all the same.
    if (next.kind === "none") return { rows: NO_ROWS, from: until === end ? null : until };
    if (next.kind === "ask") return listed({ ...filters, ...between(since, until) }, until === end ? null : until);
    look = { since: next.since, until };
  }
  return listed({ ...filters, ...between(since, look.until) }, look.until);
}

const between = (since: string, until: string | null): { since: string; until?: string } => (until === null ? { since } : { since, until });

async function listed(payload: Payload, top: string | null): Promise<Found | null> {
  const rows: LetterLine[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MOST_PAGES; page++) {
    const place: { cursor?: string } = cursor === null ? {} : { cursor };
    const answer: Answer<Page<LetterLine>> = await ask("dead-letters", { ...payload, ...place, action: "list", limit: MOST });
    if (!answer.ok) return failed(answer.problem);
    rows.push(...answer.result.items);
    cursor = answer.result.next_cursor;
    if (cursor === null) break;
  }
  return { rows, from: top };
}

function failed(problem: Problem): null {
  sayProblem(problem);
  return null;
}
