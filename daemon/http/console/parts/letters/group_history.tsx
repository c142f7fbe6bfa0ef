/** The last day of a group as a little line: asked for when its row is in sight, a few at a time, once. */

import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask } from "../../link/ask.ts";
import type { LetterGroup } from "../../link/views.ts";
import { groupTerms, letterPayload } from "../../model/filters.ts";
import { Sparkline } from "../chart.tsx";

const BUCKETS = 24;
const MOST_AT_ONCE = 3;
const MOST_KEPT = 500;

const kept = new Map<string, readonly number[]>();
const waiting: (() => Promise<void>)[] = [];
let running = 0;

async function work(): Promise<void> {
  if (running >= MOST_AT_ONCE) return;
  running++;
  for (let next = waiting.pop(); next; next = waiting.pop()) await next();
  running--;
}

async function look(group: LetterGroup): Promise<readonly number[]> {
  const payload = { action: "histogram", buckets: BUCKETS, ...letterPayload(groupTerms(group), Date.now()) };
  const answer = await ask<{ items: { count: number }[] }, "dead-letters">("dead-letters", payload);
  return answer.ok ? answer.result.items.map((bucket) => bucket.count) : [];
}

export function GroupHistory({ group }: { group: LetterGroup }): VNode | null {
  const key = JSON.stringify([group.kind, group.code, group.paths, group.producer, group.last_seen]);
  const [values, setValues] = useState(kept.get(key));
  useEffect(() => {
    if (kept.has(key)) return setValues(kept.get(key));
    let gone = false;
    waiting.push(async () => {
      if (gone) return;
      const found = await look(group);
      kept.set(key, found);
      if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value ?? "");
      if (!gone) setValues(found);
    });
    void work();
    return () => {
      gone = true;
    };
  }, [key]);
  return values && values.length > 1 ? <Sparkline values={values} label={`last 24 h: ${values.join(", ")}`} /> : null;
}
