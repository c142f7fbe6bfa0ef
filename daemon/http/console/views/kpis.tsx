/** KPIs: posts with the metric of their objective, the change against the period before, what is out of the ordinary. */

import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import type { Post } from "../link/views.ts";
import { termsOf, withTerms, type Terms } from "../model/lists/filters.ts";
import { href } from "../model/route.ts";
import { count, visible } from "../model/text.ts";
import { instantOf, lastDay } from "../model/time.ts";
import { useAnswer } from "../parts/lists/answers.ts";
import { FilterBar } from "../parts/lists/filter_bar.tsx";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { now } from "../parts/shell/preferences.ts";
import { ProblemView } from "../parts/problem.tsx";
import { go, replaceQuery, route, setQuery } from "../parts/shell/router.ts";
import { Tabs } from "../parts/tabs.tsx";
import { Text } from "../parts/words.tsx";

const KEYS = ["since", "until", "topic", "platform"];
const METRICS = ["impressions", "reach", "likes", "comments", "saves", "shares", "views", "watch_through"];

interface Report {
  readonly from: string;
  readonly to: string;
  readonly posts: readonly Post[];
  readonly periods: readonly Readonly<Record<string, string | number | null>>[];
  readonly totals: Readonly<Record<string, number | null>>;
  readonly change: Readonly<Record<string, number | null>>;
}

const figure = (name: string, value: unknown): string => {
  if (typeof value !== "number") return "–";
  return name === "watch_through" ? `${(value * 100).toFixed(1)} %` : Number.isInteger(value) ? count(value) : value.toFixed(3);
};

const COLUMNS: readonly Column<Post>[] = [
  { name: "post", width: "minmax(8rem, 1.5fr)", cell: (post) => <Text of={post.post_id} /> },
  { name: "platform", width: "minmax(5rem, 0.8fr)", cell: (post) => <Text of={post.platform} /> },
  { name: "topic", width: "minmax(5rem, 1fr)", cell: (post) => <Text of={post.topic} /> },
  { name: "objective", width: "8rem", cell: (post) => <Text of={post.objective} /> },
  { name: "its metric", width: "7rem", numeric: true, cell: (post) => figure(post.objective ?? "", post.objective_value) },
  { name: "anomaly", width: "8rem", cell: (post) => (post.anomaly ? <span class="state warn">▲ anomaly {post.z === null ? "" : post.z.toFixed(1)}</span> : "") },
  ...METRICS.map((name): Column<Post> => ({ name: name.replace("_", "-"), width: "6rem", numeric: true, cell: (post) => figure(name, post[name]) })),
];

export function Kpis(): VNode {
  const query = route.value.query;
  const terms = termsOf(query, KEYS);
  const period = query.get("period") === "weekly" ? "weekly" : "daily";
  return (
    <>
      <h1>KPIs</h1>
      <div class="bar">
        <FilterBar terms={terms} keys={KEYS} onChange={(next) => replaceQuery(withTerms(query, next, KEYS))} />
        <Tabs label="Period" names={["daily", "weekly"]} chosen={period} onChoose={(name) => setQuery({ period: name })} />
        <span class="soft">days are UTC</span>
      </div>
      <ReportPart key={`${JSON.stringify(terms)} ${period}`} terms={terms} period={period} />
    </>
  );
}

function ReportPart({ terms, period }: { terms: Terms; period: string }): VNode {
  const payload = useMemo(() => {
    const value = (key: string): string => terms.find((term) => term.key === key)?.value ?? "";
    const [from, to] = [instantOf(value("since"), now.peek()), instantOf(value("until"), now.peek())];
    return {
      period,
      format: "json",
      ...(from ? { from } : {}),
      ...(to ? { to } : {}),
      ...(value("topic") ? { topic: value("topic") } : {}),
      ...(value("platform") ? { platform: value("platform") } : {}),
    };
  }, []);
  const asked = useAnswer<Report, "kpi-report">("kpi-report", payload);
  const report = asked.result;
  return (
    <>
      {asked.problem && <ProblemView problem={asked.problem} />}
      {report && <Change report={report} />}
      <Grid
        main
        name="Posts"
        rows={report?.posts ?? []}
        columns={COLUMNS}
        keyOf={(post) => `${post.platform} ${post.post_id}`}
        onOpen={(post) => go(["story"], { id: post.post_id })}
        loading={asked.loading}
        empty={asked.loading ? "…" : asked.problem ? "" : "No post was measured in this window."}
      />
      {report && report.periods.length > 0 && <Periods report={report} />}
    </>
  );
}

function Change({ report }: { report: Report }): VNode {
  return (
    <p class="bar">
      <span class="soft">
        {visible(String(report.from)).slice(0, 10)} to {visible(lastDay(String(report.to)))}
      </span>
      {METRICS.map((name) => {
        const change = report.change[name];
        return (
          <span>
            {name.replace("_", "-")} <b>{figure(name, report.totals[name])}</b>{" "}
            {typeof change === "number" ? `${change >= 0 ? "▲ +" : "▼ "}${(change * 100).toFixed(0)} %` : ""}
          </span>
        );
      })}
    </p>
  );
}

function Periods({ report }: { report: Report }): VNode {
  return (
    <>
      <h2>By period</h2>
      <div class="scrolls" tabIndex={0} role="region" aria-label="By period">
        <table>
          <thead>
            <tr>
              <th>start</th>
              {METRICS.map((name) => (
                <th class="numeric">{name.replace("_", "-")}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {report.periods.map((each) => (
              <tr>
                <td>
                  <a href={href(["kpi"], { since: String(each["start"]) })}>{visible(String(each["start"] ?? ""))}</a>
                </td>
                {METRICS.map((name) => (
                  <td class="numeric">{figure(name, each[name])}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
