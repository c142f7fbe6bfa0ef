/** Cost and tokens by day, model or agent, and how much of each figure is reported, derived or missing; sessions. */

import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import type { Provenance, Session, Usage } from "../link/views.ts";
import { termsOf, withTerms, type Terms } from "../model/lists/filters.ts";
import { withGaps } from "../model/axis.ts";
import { micros, share, usd } from "../model/money.ts";
import { count, plural, visible } from "../model/text.ts";
import { instantOf, milliseconds } from "../model/time.ts";
import { useAnswer, useList } from "../parts/lists/answers.ts";
import { Columns, type Bar } from "../parts/chart.tsx";
import { FilterBar } from "../parts/lists/filter_bar.tsx";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { now } from "../parts/shell/preferences.ts";
import { ProblemView } from "../parts/problem.tsx";
import { go, replaceQuery, route, setQuery } from "../parts/shell/router.ts";
import { Tabs } from "../parts/tabs.tsx";
import { Age, Instant } from "../parts/time.tsx";
import { Id, State, Text } from "../parts/words.tsx";

const KEYS = ["since", "until", "agent", "model"];
const GROUPS = ["day", "day × model", "day × agent", "model", "agent", "hour"];
const MOST_SERIES = 7;

interface UsageAnswer {
  readonly items: readonly Usage[];
  readonly totals: Omit<Usage, "key">;
}

/** Days are UTC's: the window begins at the start of one. */
const startOfDay = (instant: string): string => `${instant.slice(0, 10)}T00:00:00Z`;

function windowOf(terms: Terms): { from: string; to: string } {
  const value = (key: string): string => terms.find((term) => term.key === key)?.value ?? "";
  const at = now.peek();
  return {
    from: startOfDay(instantOf(value("since"), at) ?? instantOf("30d", at) ?? ""),
    to: instantOf(value("until"), at) ?? new Date(at + 1_000).toISOString(),
  };
}

const partsOf = (key: Usage["key"]): readonly string[] => (typeof key === "string" ? [key] : key);

export function Cost(): VNode {
  const query = route.value.query;
  const terms = termsOf(query, KEYS);
  const by = GROUPS.find((each) => each === query.get("by")) ?? "day × model";
  const tab = query.get("view") === "models" ? "Models" : "Usage";
  return (
    <>
      <h1>Cost</h1>
      <div class="bar">
        <FilterBar terms={terms} keys={KEYS} onChange={(next) => replaceQuery(withTerms(query, next, KEYS))} />
        <span class="soft">days are UTC</span>
      </div>
      <Tabs label="Cost as" names={["Usage", "Models"]} chosen={tab} onChoose={(name) => setQuery({ view: name === "Usage" ? null : name.toLowerCase() })} />
      {tab === "Usage" && <UsagePart key={`${JSON.stringify(terms)} ${by}`} terms={terms} by={by} />}
      {tab === "Models" && <Models key={JSON.stringify(terms)} terms={terms} />}
      <h2>Sessions</h2>
      <Sessions key={JSON.stringify(terms)} terms={terms} />
    </>
  );
}

const narrowing = (terms: Terms): { agent?: string; model?: string } => {
  const found: { agent?: string; model?: string } = {};
  for (const { key, value } of terms) if (key === "agent" || key === "model") found[key] = value;
  return found;
};

function UsagePart({ terms, by }: { terms: Terms; by: string }): VNode {
  const keys = by.split(" × ");
  const window_ = useMemo(() => windowOf(terms), []);
  const payload = useMemo(() => ({ ...window_, group_by: keys.length === 1 ? keys[0] : keys, ...narrowing(terms) }), []);
  const usage = useAnswer<UsageAnswer, "analytics.usage">("analytics.usage", payload);
  const items = usage.result?.items ?? [];
  const totals = usage.result?.totals;
  return (
    <>
      <p class="bar">
        <label>
          by{" "}
          <select value={by} onChange={(event) => setQuery({ by: event.currentTarget.value })}>
            {GROUPS.map((each) => (
              <option>{each}</option>
            ))}
          </select>
        </label>
        <button disabled={items.length === 0} onClick={() => saveCsv(items, keys)}>
          CSV
        </button>
        <button class="pill" onClick={usage.refresh} disabled={usage.loading}>
          Refresh ↻
        </button>
      </p>
      {usage.problem && <ProblemView problem={usage.problem} />}
      {totals && <Totals totals={totals} from={window_.from} to={window_.to} />}
      {items.length > 0 && <Chart items={items} by={by} />}
      {items.length > 0 && <UsageTable items={items} keys={keys} />}
      {usage.result && items.length === 0 && <p>Nothing was used in this window.</p>}
    </>
  );
}

function Totals({ totals, from, to }: { totals: Omit<Usage, "key">; from: string; to: string }): VNode {
  const [reported, derived] = [micros(String(totals.cost.reported)), micros(String(totals.cost.derived))];
  const whole = reported + derived;
  return (
    <p class="bar">
      <span class="big">{usd(totals.cost_usd)}</span>
      {whole > 0n && (
        <span>
          of these dollars reported {share(reported, whole)}, derived {share(derived, whole)}
        </span>
      )}
      <span>{plural(totals.requests, "request")}</span>
      {totals.cost.missing_count > 0 && (
        <span class="warned">
          no price: {count(totals.cost.missing_count)} of them, not counted as $0
        </span>
      )}
      <span>
        {count(totals.input_tokens)} tokens in, {count(totals.output_tokens)} out
        {totals.tokens.missing_count > 0 && `, of ${plural(totals.tokens.missing_count, "request")} not known`}
      </span>
      <span class="soft">
        {from.slice(0, 10)} to {to.slice(0, 10)}, UTC
      </span>
    </p>
  );
}

function Chart({ items, by }: { items: readonly Usage[]; by: string }): VNode {
  const sums = new Map<string, bigint>();
  for (const item of items) {
    const name = partsOf(item.key)[1] ?? "cost";
    sums.set(name, (sums.get(name) ?? 0n) + micros(item.cost_usd));
  }
  const largest = [...sums].sort((a, b) => (b[1] > a[1] ? 1 : -1)).map(([name]) => name);
  const series = largest.length > MOST_SERIES + 1 ? [...largest.slice(0, MOST_SERIES), "other"] : largest;
  const bars = new Map<string, Map<string, bigint>>();
  for (const item of items) {
    const [first = "", second = "cost"] = partsOf(item.key);
    const name = series.includes(second) ? second : "other";
    const bar = bars.get(first) ?? new Map<string, bigint>();
    bar.set(name, (bar.get(name) ?? 0n) + micros(item.cost_usd));
    bars.set(first, bar);
  }
  const unit = by.split(" ")[0] ?? by;
  const drawn: Bar[] = withGaps([...bars.keys()], unit)
    .map((label) => ({
      label: visible(label),
      parts: [...(bars.get(label) ?? [])].map(([name, value]) => ({ name: visible(name), value: Number(value) / 1e6, text: `$${(Number(value) / 1e6).toFixed(2)}` })),
    }));
  return (
    <Columns
      bars={drawn}
      series={series.map((name) => visible(name))}
      label={`Cost by ${by}; the table below has the figures`}
      figure={dollars}
      axes={unit === "day" ? "US dollars a day, UTC" : unit === "hour" ? "US dollars an hour, UTC" : `US dollars by ${unit}`}
    />
  );
}

/** A round figure of the axis. */
function dollars(value: number): string {
  if (Number.isInteger(value)) return `$${count(value)}`;
  return `$${value >= 0.1 ? value.toFixed(2) : String(Number(value.toPrecision(2)))}`;
}

function known(provenance: Provenance, requests: number): string {
  return provenance.missing_count === 0 ? "" : ` (${count(provenance.missing_count)} of ${count(requests)} without)`;
}

function UsageTable({ items, keys }: { items: readonly Usage[]; keys: readonly string[] }): VNode {
  const columns: readonly Column<Usage>[] = [
    ...keys.map((name, at): Column<Usage> => ({ name, width: "minmax(7rem, 1fr)", cell: (item) => <Text of={partsOf(item.key)[at]} /> })),
    { name: "requests", width: "6rem", numeric: true, cell: (item) => count(item.requests) },
    { name: "errors", width: "5rem", numeric: true, cell: (item) => count(item.errors) },
    { name: "tokens in", width: "8rem", numeric: true, cell: (item) => count(item.input_tokens) },
    { name: "tokens out", width: "8rem", numeric: true, cell: (item) => count(item.output_tokens) },
    { name: "runtime", width: "6rem", numeric: true, cell: (item) => milliseconds(item.runtime_ms) },
    { name: "cost", width: "minmax(8rem, 1.2fr)", numeric: true, cell: (item) => `${usd(item.cost_usd)}${item.cost_usd === null ? "" : known(item.cost, item.requests)}` },
  ];
  return <Grid name="Usage" rows={items} columns={columns} keyOf={(item) => JSON.stringify(item.key)} />;
}

function saveCsv(items: readonly Usage[], keys: readonly string[]): void {
  const quoted = (value: unknown): string => {
    const text = String(value ?? "");
    // A leading sign would be a formula to a spreadsheet.
    return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  };
  const head = [...keys, "requests", "errors", "input_tokens", "output_tokens", "runtime_ms", "cost_usd", "cost_missing_count"];
  const lines = items.map((item) =>
    [...partsOf(item.key), item.requests, item.errors, item.input_tokens, item.output_tokens, item.runtime_ms, item.cost_usd, item.cost.missing_count].map(quoted).join(","),
  );
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([[head.join(","), ...lines].join("\r\n")], { type: "text/csv" }));
  link.download = "usage.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

interface ModelPerformance {
  readonly key: string;
  readonly requests: number;
  readonly errors: number;
  readonly error_rate: number | null;
  readonly p50_runtime_ms: number | null;
  readonly p95_runtime_ms: number | null;
}

const MODEL_COLUMNS: readonly Column<ModelPerformance>[] = [
  { name: "model", width: "minmax(9rem, 2fr)", cell: (row) => <Text of={row.key} /> },
  { name: "requests", width: "7rem", numeric: true, cell: (row) => count(row.requests) },
  { name: "errors", width: "6rem", numeric: true, cell: (row) => count(row.errors) },
  { name: "error rate", width: "7rem", numeric: true, cell: (row) => (row.error_rate === null ? "–" : `${(row.error_rate * 100).toFixed(1)} %`) },
  { name: "p50", width: "6rem", numeric: true, cell: (row) => milliseconds(row.p50_runtime_ms) },
  { name: "p95", width: "6rem", numeric: true, cell: (row) => milliseconds(row.p95_runtime_ms) },
];

function Models({ terms }: { terms: Terms }): VNode {
  const payload = useMemo(() => ({ ...windowOf(terms), group_by: "model", ...narrowing(terms) }), []);
  const models = useAnswer<{ items: readonly ModelPerformance[] }, "analytics.performance">("analytics.performance", payload);
  return (
    <>
      {models.problem && <ProblemView problem={models.problem} />}
      <Grid name="Models" rows={models.result?.items ?? []} columns={MODEL_COLUMNS} keyOf={(row) => row.key} empty={models.loading ? "…" : models.problem ? "" : "No model was used."} />
    </>
  );
}

const SESSION_COLUMNS: readonly Column<Session>[] = [
  { name: "session", width: "minmax(9rem, 1.5fr)", cell: (session) => <Id of={session.session_id} /> },
  { name: "agent", width: "minmax(6rem, 1fr)", cell: (session) => <Text of={session.agent} /> },
  { name: "model", width: "minmax(6rem, 1fr)", cell: (session) => <Text of={session.model} /> },
  { name: "status", width: "8rem", cell: (session) => <State of={session.status} /> },
  { name: "started", width: "9rem", cell: (session) => <Instant at={session.started_at} /> },
  { name: "last", width: "7rem", cell: (session) => <Age at={session.last_at} /> },
  { name: "requests", width: "5.5rem", numeric: true, cell: (session) => count(session.requests) },
  { name: "tokens", width: "7rem", numeric: true, cell: (session) => count(session.input_tokens + session.output_tokens) },
  { name: "cost", width: "7rem", numeric: true, cell: (session) => usd(session.cost_usd) },
];

function Sessions({ terms }: { terms: Terms }): VNode {
  const search = route.value.query.get("search") ?? "";
  const payload = useMemo(() => ({ ...windowOf(terms), ...narrowing(terms), ...(search ? { search } : {}), limit: 100 }), [search]);
  const sessions = useList<Session, "ledger.list">("ledger.list", payload);
  return (
    <>
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          setQuery({ search: new FormData(event.currentTarget).get("search")?.toString() || null });
        }}
      >
        <label>
          Words in its events <input type="search" name="search" defaultValue={search} maxLength={200} />
        </label>
        <button type="submit">Search</button>
        <button type="button" class="pill" onClick={sessions.refresh} disabled={sessions.loading}>
          Refresh ↻
        </button>
      </form>
      {sessions.problem && <ProblemView problem={sessions.problem} />}
      <Grid
        main
        name="Sessions"
        rows={sessions.rows}
        columns={SESSION_COLUMNS}
        keyOf={(session) => session.session_id}
        onOpen={(session) => go(["session", session.session_id])}
        onEnd={sessions.more}
        complete={sessions.complete}
        loading={sessions.loading}
        empty={sessions.loading ? "…" : sessions.problem ? "" : "No sessions match."}
      />
    </>
  );
}
