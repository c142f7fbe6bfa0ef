/** One run: who asked for what, how it gets on, what became of each item. */

import { useComputed, type ReadonlySignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Page, Run as RunView, RunItem } from "../link/views.ts";
import { hasEnded, type RunStatus } from "../model/progress.ts";
import { href } from "../model/route.ts";
import { visible } from "../model/text.ts";
import { Abort, HAS_ITEMS } from "../parts/abort.tsx";
import { useAnswer, useList, useTenSeconds } from "../parts/lists/answers.ts";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { useKeys } from "../parts/shell/keys.ts";
import { ProblemView } from "../parts/problem.tsx";
import { back, go, route } from "../parts/shell/router.ts";
import { RunProgress, useRuns } from "../parts/run_progress.tsx";
import { Tabs } from "../parts/tabs.tsx";
import { Instant } from "../parts/time.tsx";
import { Details, Id, State, Text } from "../parts/words.tsx";

export function Run(): VNode {
  const id = route.value.path[1] ?? "";
  return <OneRun key={id} id={id} />;
}

function OneRun({ id }: { id: string }): VNode {
  const asked = useAnswer<Page<RunView>, "runs">("runs", useMemo(() => ({ run_id: id, limit: 1 }), [id]));
  const run = asked.result?.items[0] ?? null;
  const ids = useMemo(() => [id], [id]);
  const isReplay = run !== null && HAS_ITEMS.has(run.operation);
  // Until the audit says what it is of, nobody knows whom to ask how it gets on; what has ended without items tells all itself.
  const isFollowed = run === null ? !asked.loading : isReplay || !hasEnded(run.status);
  const live = useRuns(isFollowed ? ids : NONE, isReplay);
  const told = useComputed(() => live.value[0]?.status).value;
  const isCounted = useComputed(() => live.value[0]?.requested !== undefined).value;
  const status = told ?? run?.status ?? null;
  useEffect(() => {
    if (hasEnded(told)) asked.refresh();
  }, [told]);
  // The list of its items comes with it, and the keys of the list.
  useKeys([], asked.loading && run === null);
  useKeys([{ key: "Escape", help: "back", run: () => back(["runs"]) }]);
  return (
    <>
      <h1>Run {visible(id)}</h1>
      {asked.problem && <ProblemView problem={asked.problem} />}
      {asked.result && run === null && <p>There is no such run, or its row is not kept.</p>}
      {isCounted ? <RunProgress of={live} /> : <State of={status} />}
      {isReplay && (
        <p class="bar">
          <Abort ids={ids} ended={hasEnded(status)} />
        </p>
      )}
      {run && <Facts run={run} />}
      {isReplay && <Items id={id} live={live} />}
    </>
  );
}

const NONE: readonly string[] = [];

function Facts({ run }: { run: RunView }): VNode {
  return (
    <>
      {run.error && <ProblemView problem={run.error} live={false} />}
      <dl>
        <dt>operation</dt>
        <dd>
          <Text of={run.operation} />
        </dd>
        <dt>by</dt>
        <dd>
          <Text of={run.principal} />
        </dd>
        <dt>asked for</dt>
        <dd>
          {Object.keys(run.parameters).length > 0 ? <Details of={run.parameters} /> : "–"}
        </dd>
        <dt>started</dt>
        <dd>
          <Instant at={run.started_at} />
        </dd>
        <dt>ended</dt>
        <dd>
          <Instant at={run.ended_at} />
        </dd>
        <dt>trace</dt>
        <dd>
          {run.trace_id ? (
            <a href={href(["story"], { id: run.trace_id })}>
              <Id of={run.trace_id} />
            </a>
          ) : (
            "–"
          )}
        </dd>
        <dt>daemon</dt>
        <dd>
          <Id of={run.daemon} />
        </dd>
        {run.result !== null && (
          <>
            <dt>result</dt>
            <dd>
              <Details of={run.result} />
            </dd>
          </>
        )}
      </dl>
      <p>
        <a href={href(["story"], { id: run.run_id })}>Story</a>
      </p>
    </>
  );
}

const OUTCOMES: Readonly<Record<string, string>> = { all: "", "again refused": "still_failed", skipped: "skipped", replayed: "replayed", discarded: "discarded" };

const COLUMNS: readonly Column<RunItem>[] = [
  { name: "item", width: "minmax(12rem, 2fr)", cell: (item) => <Id of={item.id} /> },
  { name: "replay", width: "5rem", numeric: true, cell: (item) => item.replay_number ?? "–" },
  { name: "outcome", width: "minmax(8rem, 1fr)", cell: (item) => (item.outcome ? <State of={item.outcome} /> : "waiting") },
  { name: "reason", width: "minmax(8rem, 2fr)", cell: (item) => <Text of={item.reason} /> },
];

function Items({ id, live }: { id: string; live: ReadonlySignal<readonly RunStatus[]> }): VNode {
  const [wanted, setWanted] = useState("all");
  const items = useList<RunItem, "replay-status">("replay-status", useMemo(() => ({ run_id: id, limit: 200 }), [id]));
  // Those of a full page that are all decided stay as they are.
  const isSettled = !items.complete && items.rows.length > 0 && items.rows.every((item) => item.outcome !== null);
  useTenSeconds(() => (isSettled ? undefined : live.value[0]?.version), items.refresh);
  const outcome = OUTCOMES[wanted];
  const rows = items.rows.filter((item) => !outcome || item.outcome === outcome);
  return (
    <>
      <h2>Items</h2>
      <Tabs label="Items by outcome" names={Object.keys(OUTCOMES)} chosen={wanted} onChoose={setWanted} />
      {items.problem && <ProblemView problem={items.problem} live={false} />}
      <Grid
        main
        name="Items"
        rows={rows}
        columns={COLUMNS}
        keyOf={(item) => item.id}
        onOpen={(item) => go(["dead", item.id])}
        onEnd={items.more}
        complete={items.complete}
        loading={items.loading}
        empty={items.loading ? "…" : "No items."}
      />
    </>
  );
}
