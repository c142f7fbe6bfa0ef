/** Jobs of a list as they are now: the keys of those in sight are followed, and nothing else of the list. */

import { useSignal } from "@preact/signals";
import { useCallback, useEffect, useRef } from "preact/hooks";
import type { Job } from "../../link/views.ts";
import { watchKey, type Stop } from "../../link/watch.ts";
import { newer } from "../../model/progress.ts";

const MOST_FOLLOWED = 60;
const MOST_KEPT = 500;
/** Rows that are only scrolled past are not followed. */
const REST_MS = 150;
/** Under a flow of changes the list is drawn so often at most. */
const DRAW_MS = 100;

const AT_ITS_END = new Set(["DONE", "FAILED", "CANCELLED"]);

interface LiveJobs {
  /** The newest that is known of a job in a row. */
  readonly now: (row: Job) => Job;
  readonly onShow: (rows: readonly Job[]) => void;
}

export function useLiveJobs(): LiveJobs {
  const views = useSignal<ReadonlyMap<string, Job>>(new Map());
  const follower = useRef<Follower | null>(null);
  follower.current ??= new Follower((heard) => {
    const known = new Map([...views.peek(), ...heard]);
    while (known.size > MOST_KEPT) known.delete(known.keys().next().value ?? "");
    views.value = known;
  });
  useEffect(() => () => follower.current?.end(), []);
  const onShow = useCallback((rows: readonly Job[]) => follower.current?.show(rows), []);
  const known = views.value;
  return {
    now: (row) => {
      const view = known.get(row.job_id);
      // The view under the key has no owner: it is told to whoever may read the bucket.
      return view === undefined ? row : { ...row, ...newer<Job>(row, view) };
    },
    onShow,
  };
}

class Follower {
  readonly #onViews: (heard: ReadonlyMap<string, Job>) => void;
  readonly #stops = new Map<string, Stop>();
  #heard = new Map<string, Job>();
  #resting = 0;
  #drawing = 0;

  constructor(onViews: (heard: ReadonlyMap<string, Job>) => void) {
    this.#onViews = onViews;
  }

  show(rows: readonly Job[]): void {
    clearTimeout(this.#resting);
    const wanted = rows.filter(({ status }) => !AT_ITS_END.has(status)).slice(0, MOST_FOLLOWED);
    this.#resting = setTimeout(() => this.#follow(new Set(wanted.map(({ job_id }) => job_id))), REST_MS) as unknown as number;
  }

  end(): void {
    clearTimeout(this.#resting);
    clearTimeout(this.#drawing);
    this.#follow(new Set());
  }

  #follow(ids: ReadonlySet<string>): void {
    for (const [id, stop] of [...this.#stops])
      if (!ids.has(id)) {
        stop();
        this.#stops.delete(id);
      }
    for (const id of ids) if (!this.#stops.has(id)) this.#stops.set(id, watchKey<Job>(`job.${id}`, (view) => this.#hear(view)));
  }

  #hear(view: Job): void {
    this.#heard.set(view.job_id, newer(this.#heard.get(view.job_id) ?? null, view));
    this.#drawing ||= setTimeout(() => {
      this.#drawing = 0;
      const heard = this.#heard;
      this.#heard = new Map();
      this.#onViews(heard);
    }, DRAW_MS) as unknown as number;
  }
}
