/** The last day of a group as a little line: asked for when its row is in sight, a few at a time, once. */

import type { RefObject, VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../../link/ask.ts";
import type { LetterGroup } from "../../link/views.ts";
import { groupTerms, letterPayload } from "../../model/lists/filters.ts";
import { count } from "../../model/text.ts";
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

/** Whether an element has been in sight: more rows stand in the document than a person sees. */
function useSeen(element: RefObject<HTMLElement | null>): boolean {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (!element.current) return;
    const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && setSeen(true));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return seen;
}

export function GroupHistory({ group }: { group: LetterGroup }): VNode {
  const key = JSON.stringify([group.kind, group.code, group.paths, group.producer, group.last_seen]);
  const [values, setValues] = useState(kept.get(key));
  const place = useRef<HTMLDivElement>(null);
  const seen = useSeen(place);
  useEffect(() => {
    if (!seen) return;
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
  }, [key, seen]);
  return (
    <div class="history" ref={place}>
      {values && values.length > 1 && <Sparkline values={values} label={`letters an hour in the last 24 h, up to ${count(Math.max(...values))}: ${values.join(", ")}`} />}
    </div>
  );
}
