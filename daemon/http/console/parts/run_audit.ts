/**
 * Who asked for the runs that go on, and when: keys and pulses do not tell it, the audit does. It is asked when one begins
 * that is not known yet, at most every ten seconds.
 */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask } from "../link/ask.ts";
import { linkState } from "../link/connection.ts";
import { may } from "../link/principal.ts";
import type { Page, Run } from "../link/views.ts";
import type { RunStatus } from "../model/progress.ts";

const BETWEEN_MS = 10_000;
const MOST_KEPT = 200;

const audited = signal<ReadonlyMap<string, Run>>(new Map());
let askedAt = 0;

function take(runs: readonly Run[]): void {
  const known = new Map(audited.peek());
  for (const run of runs) known.set(run.run_id, run);
  while (known.size > MOST_KEPT) known.delete(known.keys().next().value ?? "");
  audited.value = known;
}

/** The rows of the audit of runs, as far as they are known by now. */
export function useAudit(runs: readonly RunStatus[]): ReadonlyMap<string, Run> {
  const unknown = runs.flatMap(({ run_id }) => (audited.value.has(run_id) ? [] : [run_id])).join(" ");
  const isAllowed = may("ops:read");
  const canAsk = linkState.value === "connected" && isAllowed;
  useEffect(() => {
    if (unknown === "" || !canAsk) return;
    const timer = setTimeout(
      () => {
        askedAt = Date.now();
        void ask<Page<Run>, "runs">("runs", { status: "running", limit: 100 }).then((answer) => answer.ok && take(answer.result.items));
      },
      Math.max(0, askedAt + BETWEEN_MS - Date.now()),
    );
    return () => clearTimeout(timer);
  }, [unknown, canAsk]);
  // Whoever was signed in before may have been told more.
  return isAllowed ? audited.value : NOTHING;
}

const NOTHING: ReadonlyMap<string, Run> = new Map();
