/** Jobs of all owners, with counts by state. */

import type { VNode } from "preact";
import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { listenToEvents } from "../link/watch.ts";
import type { Job, Page } from "../link/views.ts";
import { termsOf, withTerm, withTerms, type Terms } from "../model/lists/filters.ts";
import { usd } from "../model/money.ts";
import { count } from "../model/text.ts";
import { instantOf } from "../model/time.ts";
import { Act } from "../parts/act.tsx";
import { ApproveDialog } from "../parts/jobs/approve_dialog.tsx";
import { useLiveJobs } from "../parts/jobs/live_jobs.ts";
import { useList } from "../parts/lists/answers.ts";
import { FilterBar } from "../parts/lists/filter_bar.tsx";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { now } from "../parts/shell/preferences.ts";
import { ProblemView } from "../parts/problem.tsx";
import { go, replaceQuery, route } from "../parts/shell/router.ts";
import { Age } from "../parts/time.tsx";
import { Id, State, Text } from "../parts/words.tsx";

const KEYS = ["status", "project", "owner", "since"];
export const STATES = [
  "CREATED",
  "UPLOADED",
  "QUEUED",
  "TRANSCRIBING",
  "DRAFTING",
  "AWAITING_APPROVAL",
  "RENDERING",
  "READY",
  "DONE",
  "FAILED",
  "CANCELLED",
];

/** How many jobs were made since the page was opened: a mark that lists look at. */
const made = signal(0);

const COLUMNS: readonly Column<Job>[] = [
  { name: "title", width: "minmax(9rem, 2fr)", cell: (job) => <Text of={job.title} /> },
  { name: "job", width: "9rem", cell: (job) => <Id of={job.job_id} short /> },
  { name: "owner", width: "minmax(5rem, 0.7fr)", cell: (job) => <Text of={job.owner} /> },
  { name: "status", width: "12rem", cell: (job) => <State of={job.status} /> },
  { name: "progress", width: "5rem", numeric: true, cell: (job) => (job.progress === null ? "–" : `${job.progress} %`) },
  { name: "cost", width: "5.5rem", numeric: true, cell: (job) => usd(job.actual_cost_usd) },
  { name: "estimate", width: "5.5rem", numeric: true, cell: (job) => (job.estimated_cost_usd ? usd(job.estimated_cost_usd) : "–") },
  { name: "attempt", width: "4.5rem", numeric: true, cell: (job) => count(job.attempt) },
  { name: "moved", width: "7rem", cell: (job) => <Age at={job.updated_at} /> },
];

export function Jobs(): VNode {
  const query = route.value.query;
  const terms = termsOf(query, KEYS);
  const change = (next: Terms): void => replaceQuery(withTerms(query, next, KEYS));
  useEffect(() => listenToEvents("job.*.created", () => (made.value += 1)), []);
  return (
    <>
      <h1>Jobs</h1>
      <div class="bar">
        <FilterBar terms={terms} keys={KEYS} onChange={change} suggestions={STATES.map((value) => ({ key: "status", value }))} />
      </div>
      <JobList key={JSON.stringify(terms)} terms={terms} onChange={change} />
    </>
  );
}

type JobPage = Page<Job> & { readonly counts?: Readonly<Record<string, number>> };

function JobList({ terms, onChange }: { terms: Terms; onChange: (terms: Terms) => void }): VNode {
  const value = (key: string): string | undefined => terms.find((term) => term.key === key)?.value;
  const payload = useMemo(() => {
    const since = instantOf(value("since") ?? "", now.peek());
    return {
      ...(value("status") ? { status: value("status") } : {}),
      ...(value("project") ? { project_id: value("project") } : {}),
      ...(value("owner") ? { owner: value("owner") } : {}),
      ...(since ? { since } : {}),
      limit: 100,
    };
  }, []);
  const jobs = useList<Job, "jobs">("jobs", payload);
  const seen = useRef(0);
  useEffect(() => {
    seen.current = made.peek();
  }, [jobs.asOf]);
  const newer = made.value - seen.current;
  const live = useLiveJobs();
  const [approving, setApproving] = useState<Job | null>(null);
  const columns: readonly Column<Job>[] = [
    ...COLUMNS.map((column) => ({ ...column, cell: (job: Job) => column.cell(live.now(job)) })),
    { name: "act", width: "6.5rem", cell: (job) => <Approve job={live.now(job)} onAct={setApproving} /> },
  ];
  const counts = (jobs.first as JobPage | null)?.counts ?? {};
  return (
    <>
      <div class="bar counts">
        {STATES.filter((state) => (counts[state] ?? 0) > 0).map((state) => (
          <button class="quiet" aria-pressed={value("status") === state} onClick={() => onChange(withTerm(terms.filter(({ key }) => key !== "status"), { key: "status", value: state }))}>
            <State of={state} /> {count(counts[state] ?? 0)}
          </button>
        ))}
        <button class="pill" onClick={jobs.refresh} disabled={jobs.loading}>
          {newer > 0 ? `${count(newer)} newer ↻` : "Refresh ↻"}
        </button>
      </div>
      {jobs.problem && <ProblemView problem={jobs.problem} />}
      <Grid
        main
        name="Jobs"
        rows={jobs.rows}
        columns={columns}
        keyOf={(job) => job.job_id}
        onOpen={(job) => go(["job", job.job_id])}
        onShow={live.onShow}
        onEnd={jobs.more}
        complete={jobs.complete}
        loading={jobs.loading}
        empty={jobs.loading ? "…" : jobs.problem ? "" : "No jobs match."}
      />
      {approving && <ApproveDialog job={approving} onClose={() => setApproving(null)} />}
    </>
  );
}

function Approve({ job, onAct }: { job: Job; onAct: (job: Job) => void }): VNode | null {
  if (job.status !== "AWAITING_APPROVAL") return null;
  if (job.approved) return <span class="soft">approved</span>;
  return (
    <Act onAct={() => onAct(job)} scope="jobs:write" inRow>
      Approve…
    </Act>
  );
}
