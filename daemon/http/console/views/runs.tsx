/** Runs: the audit, who did what; what is running tells its progress by itself. */

import { computed } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { running } from "../link/pulse.ts";
import { runKeys } from "../link/runs.ts";
import type { Run } from "../link/views.ts";
import { termsOf, withTerms, type Term, type Terms } from "../model/lists/filters.ts";
import { progressOf } from "../model/progress.ts";
import { instantOf } from "../model/time.ts";
import { count, cut, visible } from "../model/text.ts";
import { useList, useTenSeconds } from "../parts/lists/answers.ts";
import { Meter } from "../parts/chart.tsx";
import { FilterBar } from "../parts/lists/filter_bar.tsx";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { now } from "../parts/shell/preferences.ts";
import { ProblemView } from "../parts/problem.tsx";
import { go, replaceQuery, route, setQuery } from "../parts/shell/router.ts";
import { Instant } from "../parts/time.tsx";
import { Id, State, Text } from "../parts/words.tsx";

const KEYS = ["operation", "status", "by", "since"];
/** Operations that only look; they have rows where `audit.reads` says so. */
const LOOKS = new Set(["health-check", "about", "find", "explain", "jobs", "runs", "replay-status", "system-status", "logs", "kpi-report"]);
const LOOKING_ACTIONS = new Set(["list", "groups", "histogram", "show", "check"]);

/** A dry run looks too: it says what an act would do. */
const isLook = (run: Run): boolean =>
  LOOKS.has(run.operation) || LOOKING_ACTIONS.has(String(run.parameters["action"] ?? "")) || run.parameters["dry_run"] === true;

/** What a run was asked to do, in one line. */
function parametersText(run: Run): string {
  return Object.entries(run.parameters)
    .map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}

function Stand({ run }: { run: Run }): VNode {
  const live = runKeys.value.get(run.run_id);
  const status = live?.status ?? run.status;
  const progress = live ? progressOf([live]) : null;
  return (
    <>
      <State of={status} /> {progress && status === "running" && <Meter value={progress.sent} most={progress.requested} label="Progress" />}
    </>
  );
}

const COLUMNS: readonly Column<Run>[] = [
  { name: "started", width: "9rem", cell: (run) => <Instant at={run.started_at} /> },
  { name: "operation", width: "9rem", cell: (run) => <Text of={run.operation} /> },
  { name: "by", width: "minmax(5rem, 0.6fr)", cell: (run) => <Text of={run.principal} /> },
  { name: "status", width: "minmax(8rem, 0.8fr)", cell: (run) => <Stand run={run} /> },
  { name: "asked for", width: "minmax(10rem, 3fr)", cell: (run) => <Text of={cut(parametersText(run), 160)} /> },
  { name: "error", width: "minmax(6rem, 1fr)", cell: (run) => <Text of={run.error?.code} /> },
  { name: "run", width: "9rem", cell: (run) => <Id of={run.run_id} short /> },
];

export function Runs(): VNode {
  const query = route.value.query;
  const terms = termsOf(query, KEYS);
  const actsOnly = query.get("looks") !== "1";
  return (
    <>
      <h1>Runs</h1>
      <div class="bar">
        <FilterBar terms={terms} keys={KEYS} onChange={(next) => replaceQuery(withTerms(query, next, KEYS))} suggestions={SUGGESTED} />
        <label>
          <input type="checkbox" checked={actsOnly} onChange={() => setQuery({ looks: actsOnly ? "1" : null })} /> acts only
        </label>
      </div>
      <RunList key={JSON.stringify(terms)} terms={terms} actsOnly={actsOnly} />
    </>
  );
}

const SUGGESTED: Terms = [
  ...["replay-failed", "dead-letters", "self-heal", "backup", "prune", "import-legacy", "control", "alerts"].map(
    (value): Term => ({ key: "operation", value }),
  ),
  ...["running", "succeeded", "failed", "aborted"].map((value): Term => ({ key: "status", value })),
];

function RunList({ terms, actsOnly }: { terms: Terms; actsOnly: boolean }): VNode {
  const value = (key: string): string | undefined => terms.find((term) => term.key === key)?.value;
  const payload = useMemo(() => {
    const since = instantOf(value("since") ?? "", now.peek());
    return {
      ...(value("operation") ? { operation: value("operation") } : {}),
      ...(value("status") ? { status: value("status") } : {}),
      ...(since ? { since } : {}),
      limit: 100,
    };
  }, []);
  const runs = useList<Run, "runs">("runs", payload);
  const by = value("by");
  const rows = runs.rows.filter((run) => (!actsOnly || !isLook(run)) && (by === undefined || run.principal === by));
  const newer = useNewRuns(runs.asOf);
  return (
    <>
      <div class="bar">
        <button class="pill" onClick={runs.refresh} disabled={runs.loading}>
          {newer > 0 ? `${count(newer)} newer ↻` : "Refresh ↻"}
        </button>
      </div>
      {runs.problem && <ProblemView problem={runs.problem} />}
      <Grid
        main
        name="Runs"
        rows={rows}
        columns={COLUMNS}
        keyOf={(run) => run.run_id}
        onOpen={(run) => go(["run", run.run_id])}
        onEnd={runs.more}
        complete={runs.complete}
        loading={runs.loading}
        empty={runs.loading ? "…" : runs.problem ? "" : "No runs match."}
      />
    </>
  );
}

const known = computed(() => [...new Set([...running.value.map((run) => run.run_id), ...runKeys.value.keys()])]);

/** Runs that began, by their keys, since the list was asked for. */
function useNewRuns(asOf: number): number {
  const seen = useRef(new Set<string>());
  const [newer, setNewer] = useState(0);
  useEffect(() => {
    seen.current = new Set(known.peek());
    setNewer(0);
  }, [asOf]);
  useTenSeconds(
    () => known.value.length,
    () => setNewer(known.peek().filter((id) => !seen.current.has(id)).length),
  );
  return newer;
}

export const runTitle = (run: Run): string => visible(`${run.operation} ${run.run_id}`);
