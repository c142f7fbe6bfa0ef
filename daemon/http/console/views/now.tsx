/** Now: is it well, what fails and why, what is being done about it. */

import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import { alerting } from "../link/alerts.ts";
import { common, daemons, figures, history as figureHistory, running, silentSince, type Beat } from "../link/pulse.ts";
import { about } from "../link/principal.ts";
import type { Health, LetterGroup } from "../link/views.ts";
import { letterQuery, narrowed } from "../model/lists/filters.ts";
import { progressOf } from "../model/progress.ts";
import { href } from "../model/route.ts";
import { count, diskUsed, plural, visible } from "../model/text.ts";
import { duration, milliseconds } from "../model/time.ts";
import { Abort, HAS_ITEMS } from "../parts/abort.tsx";
import { Act } from "../parts/act.tsx";
import { useAnswer, useList, useTenSeconds } from "../parts/lists/answers.ts";
import { Meter, Sparkline } from "../parts/chart.tsx";
import { GroupHistory } from "../parts/letters/group_history.tsx";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { now } from "../parts/shell/preferences.ts";
import { ProblemView } from "../parts/problem.tsx";
import { go } from "../parts/shell/router.ts";
import { useAudit } from "../parts/run_audit.ts";
import { Age, Instant } from "../parts/time.tsx";
import { Id, State, Text } from "../parts/words.tsx";

export function Now(): VNode {
  const health = useAnswer<Health, "health-check">("health-check", useMemo(() => ({}), []));
  return (
    <>
      <h1>Now</h1>
      <HealthLine health={health.result} asOf={health.asOf} onAsk={health.refresh} />
      {health.problem && <ProblemView problem={health.problem} live={false} />}
      <Rates />
      <Causes />
      <Doing />
      <Consumers />
    </>
  );
}

function obstacles(beat: Beat): string {
  return beat.obstacles.map((each) => (typeof each === "string" ? each : `${each.dependency ?? ""} ${each.detail ?? ""}`.trim())).join(", ");
}

/** Dependencies with a figure that says something while they are well; Care has the table of all. */
const TOLD = new Set(["nats", "database", "disk"]);

function HealthLine({ health, asOf, onAsk }: { health: Health | null; asOf: number; onAsk: () => void }): VNode {
  const silent = silentSince.value !== null;
  const alive = silent ? [] : daemons.value;
  const unready = alive.filter((beat) => !beat.ready);
  // What a check found before is nothing to go by once nobody is heard.
  const word = silent ? null : unready.length ? "not ready" : (health?.status ?? (alive.length ? "healthy" : null));
  const started = about.value?.daemon.started_at;
  return (
    <div class="bar health">
      <span class="big">{word ? <State of={word} /> : "no daemon is heard"}</span>
      {alive.length > 0 && <span>{plural(alive.length, "daemon")}</span>}
      {started && !silent && <span>up {duration((now.value - Date.parse(started)) / 1000)}</span>}
      {Object.entries((!silent && health?.dependencies) || {}).map(([name, found]) => {
        const isWell = found.status === "healthy";
        const figure = name === "disk" ? (diskUsed(found.detail) ?? milliseconds(found.latency_ms)) : milliseconds(found.latency_ms);
        return isWell && !TOLD.has(name) ? null : (
          <span title={visible(found.detail)} class={isWell ? "" : "warned"}>
            {name} {isWell ? figure : <State of={found.status} />}
          </span>
        );
      })}
      {unready.map((beat) => (
        <span class="warned">{visible(obstacles(beat))}</span>
      ))}
      {health && !silent && (
        <span class="soft">
          as of <Instant at={new Date(asOf).toISOString()} />
        </span>
      )}
      <Act onAct={onAsk}>Check health</Act>
    </div>
  );
}

function Rates(): VNode {
  const figure = figures.value;
  const shared = common.value;
  const past = figureHistory.value;
  if (figure === null)
    return <p class="soft">No pulse is heard yet: rates and counts stand here once a daemon sends one (console.pulse_s).</p>;
  const unread = Object.values(shared?.consumers ?? {}).reduce((sum, consumer) => sum + consumer.pending, 0);
  return (
    <div class="tiles">
      <Tile name="Accepted" value={perSecond(figure.accepted)} past={past.map((each) => each.accepted)} figure={perSecond} />
      <Tile name="Refused" value={perSecond(figure.refused)} past={past.map((each) => each.refused)} figure={perSecond} />
      <Tile name="Duplicates" value={perSecond(figure.duplicate)} past={past.map((each) => each.duplicate)} figure={perSecond} />
      <Tile name="Lag p99" value={milliseconds(figure.lag)} past={past.map((each) => each.lag ?? 0)} figure={milliseconds} />
      <Tile name="Outbox" value={plural(shared?.outbox?.rows ?? 0, "row")} note={`oldest ${duration(shared?.outbox?.oldest_s ?? 0)}, failed ${count(shared?.outbox?.failed ?? 0)}`} />
      <Tile name="Unread" value={count(unread)} />
      <Tile name="Dead letters open" value={count(shared?.dead_letters_open ?? 0)} link={href(["dead"])} />
      {(shared?.work_not_taken ?? []).map((work) => (
        <p class="warned">
          <span aria-hidden="true">▲</span> nobody takes {visible(work)}
        </p>
      ))}
    </div>
  );
}

const perSecond = (value: number): string => `${rate(value)}/s`;
const rate = (value: number): string => (value >= 100 ? count(Math.round(value)) : value.toFixed(value < 10 && value > 0 ? 1 : 0));

interface TileProps {
  readonly name: string;
  readonly value: string;
  readonly past?: readonly number[];
  readonly figure?: (value: number) => string;
  readonly note?: string;
  readonly link?: string;
}

/** How far back the little pictures go. */
function span(): string {
  const [first, last] = [figureHistory.value[0], figureHistory.value.at(-1)];
  return duration(first && last ? (last.at - first.at) / 1000 : 0);
}

function Tile({ name, value, past, figure, note, link }: TileProps): VNode {
  const scale = past && past.length > 1 && figure ? `${Math.max(...past) > 0 ? `0 to ${figure(Math.max(...past))}` : "none"} in ${span()}` : null;
  return (
    <div class="tile">
      <span class="soft">{name}</span>
      <b>{link ? <a href={link}>{value}</a> : value}</b>
      {note && <small>{note}</small>}
      {past && <Sparkline values={past} label={`${name}: ${scale ?? ""}`} />}
      {scale && <small>{scale}</small>}
    </div>
  );
}

const CAUSE_COLUMNS: readonly Column<LetterGroup>[] = [
  { name: "count", width: "6rem", numeric: true, cell: (group) => count(group.count) },
  { name: "kind", width: "minmax(8rem, 1fr)", cell: (group) => <Text of={group.kind} /> },
  { name: "code", width: "minmax(17rem, 1.2fr)", cell: (group) => <Text of={group.code} /> },
  { name: "where", width: "minmax(8rem, 2fr)", cell: (group) => <Text of={group.paths.join(", ")} /> },
  { name: "producer", width: "minmax(6rem, 1fr)", cell: (group) => <Text of={group.producer ?? "unknown"} /> },
  { name: "last", width: "8rem", cell: (group) => <Age at={group.last_seen} /> },
  { name: "last 24 h", width: "6rem", cell: (group) => <GroupHistory group={group} /> },
];

function Causes(): VNode {
  const groups = useList<LetterGroup, "dead-letters">("dead-letters", useMemo(() => ({ action: "groups", states: ["open"], limit: 10 }), []));
  useTenSeconds(() => common.value?.dead_letters_open, groups.refresh);
  const open = (group: LetterGroup): void => {
    const query = letterQuery(new URLSearchParams(), narrowed([{ key: "state", value: "open" }], group));
    query.set("view", "list");
    go(["dead"], query);
  };
  return (
    <section>
      <h2>Why messages are refused now</h2>
      {groups.problem && <ProblemView problem={groups.problem} live={false} />}
      <Grid
        main
        name="Causes"
        rows={groups.rows.slice(0, 10)}
        columns={CAUSE_COLUMNS}
        keyOf={(group) => JSON.stringify([group.kind, group.code, group.paths, group.producer])}
        onOpen={open}
        loading={groups.loading}
        empty={groups.loading ? "…" : groups.problem ? "" : "Nothing is: no dead letter is open."}
      />
      {groups.first?.next_cursor && (
        <p>
          <a href={href(["dead"])}>all groups</a>
        </p>
      )}
    </section>
  );
}

function Doing(): VNode | null {
  const runs = running.value;
  const raised = alerting.value;
  const audit = useAudit(runs);
  if (runs.length === 0 && raised.length === 0) return null;
  return (
    <section>
      <h2>What is going on</h2>
      <ul class="plainlist">
        {runs.map((run) => {
          const progress = progressOf([run]);
          const started = run.started_at ?? audit.get(run.run_id)?.started_at;
          return (
            <li>
              <a href={href(["run", run.run_id])}>
                {visible(run.operation ?? "run")} <Id of={run.run_id} short />
              </a>{" "}
              <By principal={audit.get(run.run_id)?.principal} /> <State of={run.status} />{" "}
              {progress.requested > 0 && (
                <>
                  <Meter value={progress.sent} most={progress.requested} label="Progress" /> {count(progress.sent)} of {count(progress.requested)}, again refused{" "}
                  {count(progress.stillFailed)}
                </>
              )}{" "}
              {started && <span class="soft">for {duration(Math.max(0, now.value - Date.parse(started)) / 1000)}</span>}{" "}
              {HAS_ITEMS.has(run.operation ?? "") && <Abort ids={[run.run_id]} />}
            </li>
          );
        })}
        {raised.map(([rule, severity]) => (
          <li>
            <State of={severity} /> <a href={href(["alert", rule])}>{visible(rule)}</a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Whoever asked for a run; what the daemon does of itself, in its own time, is the timer's. */
function By({ principal }: { principal: string | undefined }): VNode | null {
  if (principal === undefined) return null;
  return principal === "system" ? <span title="by the daemon itself, in its own time">timer</span> : <span>by {visible(principal)}</span>;
}

function Consumers(): VNode | null {
  const shared = common.value;
  if (shared === null) return null;
  const kinds = new Map<string, Record<string, number>>();
  for (const beat of daemons.value)
    for (const [kind, outcomes] of Object.entries(beat.messages ?? {})) {
      const sums = kinds.get(kind) ?? {};
      for (const [outcome, total] of Object.entries(outcomes)) sums[outcome] = (sums[outcome] ?? 0) + total;
      kinds.set(kind, sums);
    }
  return (
    <div class="two">
      <section>
        <h2>Messages since the start</h2>
        <table>
          <thead>
            <tr>
              <th>kind</th>
              <th>outcomes</th>
            </tr>
          </thead>
          <tbody>
            {[...kinds].map(([kind, outcomes]) => (
              <tr>
                <td>{visible(kind)}</td>
                <td>
                  {Object.entries(outcomes)
                    .map(([outcome, total]) => `${visible(outcome)} ${count(total)}`)
                    .join(", ")}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <section>
        <h2>Consumers</h2>
        <table>
          <thead>
            <tr>
              <th>consumer</th>
              <th class="numeric">unread</th>
              <th class="numeric">unacknowledged</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(shared.consumers ?? {}).map(([name, consumer]) => (
              <tr>
                <td>{visible(name)}</td>
                <td class="numeric">{count(consumer.pending)}</td>
                <td class="numeric">{count(consumer.unacknowledged)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}
