/** How runs are getting on, by their status keys; where no key tells, they are asked for, at most every ten seconds. */

import { useComputed, useSignal, type ReadonlySignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ask } from "../link/ask.ts";
import { watchRun } from "../link/runs.ts";
import type { Page, Run } from "../link/views.ts";
import { hasEnded, newer, pace, progressOf, type Progress, type RunStatus, type Sample } from "../model/progress.ts";
import { count } from "../model/text.ts";
import { duration } from "../model/time.ts";
import { Meter } from "./chart.tsx";
import { State } from "./words.tsx";

const ASK_MS = [700, 1_500, 3_000, 10_000];

/**
 * The newest status of each run, in the order of `ids`: whoever reads it is drawn anew with each, and nobody else.
 * `haveItems` says whether they are runs of letters, which have counts of their own.
 */
export function useRuns(ids: readonly string[], haveItems = true): ReadonlySignal<readonly RunStatus[]> {
  const wanted = useSignal(ids);
  const known = useSignal<ReadonlyMap<string, RunStatus>>(NONE);
  useEffect(() => {
    wanted.value = ids;
    const take = (view: RunStatus): void => {
      const before = known.peek();
      known.value = new Map(before).set(view.run_id, newer(before.get(view.run_id) ?? null, view));
    };
    const stops = ids.map((id) => followRun(id, take, haveItems));
    return () => stops.forEach((stop) => stop());
  }, [ids.join(" "), haveItems]);
  return useComputed(() => wanted.value.flatMap((id) => known.value.get(id) ?? []));
}

const NONE: ReadonlyMap<string, RunStatus> = new Map();

async function statusOf(id: string, hasItems: boolean): Promise<RunStatus | null> {
  if (hasItems) {
    const answer = await ask<RunStatus, "replay-status">("replay-status", { run_id: id, limit: 1 });
    return answer.ok ? answer.result : null;
  }
  const answer = await ask<Page<Run>, "runs">("runs", { run_id: id, limit: 1 });
  return answer.ok ? (answer.result.items[0] ?? null) : null;
}

/** Listens to the key of a run, and asks while it is silent and the run has not ended. */
export function followRun(id: string, take: (view: RunStatus) => void, hasItems = true): () => void {
  let ended = false;
  let heard = 0;
  let timer = 0;
  const hear = (view: RunStatus): void => {
    ended ||= hasEnded(view.status);
    take(view);
  };
  const stop = watchRun(id, (view) => {
    heard = Date.now();
    hear(view);
  });
  const look = (tries: number): void => {
    timer = setTimeout(() => {
      if (ended) return;
      const next = (): void => look(tries + 1);
      if (Date.now() - heard < 10_000 && heard > 0) return next();
      void statusOf(id, hasItems).then((view) => {
        // An answer has no version. What has ended stays so, whatever its key told last.
        if (view !== null) hear(hasEnded(view.status) ? { ...view, version: Number.MAX_SAFE_INTEGER } : view);
        next();
      });
    }, ASK_MS[Math.min(tries, ASK_MS.length - 1)]) as unknown as number;
  };
  look(0);
  return () => {
    ended = true;
    clearTimeout(timer);
    stop();
  };
}

export function usePace(progress: Progress): ReturnType<typeof pace> {
  const samples = useRef<Sample[]>([]);
  const last = samples.current.at(-1);
  if (last?.sent !== progress.sent) samples.current = [...samples.current, { at: Date.now(), sent: progress.sent }].slice(-50);
  return progress.ended ? null : pace(samples.current, progress.waiting);
}

interface RunProgressProps {
  readonly of: ReadonlySignal<readonly RunStatus[]>;
  readonly discards?: boolean;
}

export function RunProgress({ of, discards = false }: RunProgressProps): VNode {
  const runs = of.value;
  const progress = progressOf(runs);
  const speed = usePace(progress);
  const status = progress.ended ? (runs.find((run) => run.status !== "succeeded")?.status ?? "succeeded") : "running";
  return (
    <div class="progress">
      <p>
        <State of={status} /> <Meter value={progress.sent} most={progress.requested} label="Progress" />{" "}
        <b>
          sent {count(progress.sent)} of {count(progress.requested)}
        </b>
        {speed && ` ${speed.perSecond.toFixed(speed.perSecond < 10 ? 1 : 0)}/s, about ${duration(speed.seconds)}`}
      </p>
      <p class="counts">
        {discards || progress.discarded > 0 ? (
          <span>discarded {count(progress.discarded)}</span>
        ) : (
          <>
            <span>replayed {count(progress.replayed)}</span> <span>again refused {count(progress.stillFailed)}</span>
          </>
        )}{" "}
        <span>skipped {count(progress.skipped)}</span> <span>waiting {count(progress.waiting)}</span>
      </p>
    </div>
  );
}
