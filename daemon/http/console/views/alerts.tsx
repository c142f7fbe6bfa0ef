/** Alerts: what is raised, since when, who keeps it quiet, until when and why. */

import type { VNode } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, newMessageId } from "../link/ask.ts";
import { alerting, gaps, moveCount, moves } from "../link/alerts.ts";
import type { Alert, AlertStep } from "../link/views.ts";
import { WORDS, current, inOrder, ranked, wordOf } from "../model/alerts.ts";
import { count, visible } from "../model/text.ts";
import { clock, duration } from "../model/time.ts";
import { Act } from "../parts/act.tsx";
import { useAnswer, useList, useTenSeconds } from "../parts/lists/answers.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { useKeys } from "../parts/shell/keys.ts";
import { say, sayProblem } from "../parts/shell/outcome.tsx";
import { now, zone } from "../parts/shell/preferences.ts";
import { ProblemView } from "../parts/problem.tsx";
import { back, go, route } from "../parts/shell/router.ts";
import { Instant } from "../parts/time.tsx";
import { Details, State, Text } from "../parts/words.tsx";

type Word = "acknowledge" | "resolve" | "suppress";

function act(action: Word, rule: string, more: { until?: string; reason?: string }, done: () => void): void {
  void ask<unknown, "alerts">("alerts", { action, rule, ...more }, { messageId: newMessageId(), onSlow: say }).then((answer) => {
    if (!answer.ok) return sayProblem(answer.problem);
    say(`${rule}: ${action === "suppress" ? "suppressed" : `${action}d`}`);
    done();
  });
}

export function Alerts(): VNode {
  const [word, rule] = route.value.path;
  return word === "alert" && rule ? <OneAlert key={rule} rule={rule} /> : <AlertList />;
}

/** What keeps an alert quiet, in words. */
function quietness(alert: Alert): string {
  if (alert.suppressed_until) {
    const left = (Date.parse(alert.suppressed_until) - now.value) / 1000;
    return `until ${clock(alert.suppressed_until, zone.value, now.value)} (${duration(Math.max(0, left))}) by ${alert.suppressed_by ?? "?"}: ${alert.suppression_reason ?? "no reason given"}`;
  }
  return alert.acknowledged_by ? `quiet, ${alert.acknowledged_by} has it` : "nobody has it";
}

/** A figure as it is read; a long fraction is rounded to what tells something. */
const figureOf = (value: string | number): string =>
  typeof value !== "number" ? value : Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(4)));

/** From where on a figure is a warning, and critical. */
const limitsOf = ({ thresholds }: Alert): string =>
  thresholds ? `warning ${figureOf(thresholds.warning)}, critical ${figureOf(thresholds.critical)}` : "";

const COLUMNS: readonly Column<Alert>[] = [
  { name: "severity", width: "6rem", cell: (alert) => <State of={alert.severity} /> },
  { name: "rule", width: "minmax(8.2rem, 0.2fr)", cell: (alert) => <Text of={alert.rule} /> },
  { name: "lifecycle", width: "7rem", cell: (alert) => <State of={alert.lifecycle} /> },
  { name: "value", width: "minmax(4.5rem, 0.1fr)", numeric: true, cell: (alert) => <Text of={alert.value === null ? null : figureOf(alert.value)} /> },
  { name: "limits", width: "minmax(12rem, 1.2fr)", cell: (alert) => <Text of={limitsOf(alert)} /> },
  { name: "since", width: "7rem", cell: (alert) => <Instant at={alert.since} /> },
];

/** Rows in the order of when somebody last asked for it: they move for nobody else. */
function useOrder(rows: readonly Alert[], asOf: number): { ordered: readonly Alert[]; newer: number; orderAnew: () => void } {
  const order = useRef<readonly string[]>([]);
  const orderedAt = useRef(0);
  const wanted = useRef(true);
  const seen = useRef(0);
  if (wanted.current && asOf > orderedAt.current) {
    wanted.current = false;
    orderedAt.current = asOf;
    order.current = ranked(rows).map(({ rule }) => rule);
    seen.current = moveCount.value;
  }
  const orderAnew = (): void => {
    wanted.current = true;
    orderedAt.current = asOf;
  };
  return { ordered: inOrder(rows, order.current), newer: asOf === 0 ? 0 : moveCount.value - seen.current, orderAnew };
}

function AlertList(): VNode {
  const alerts = useList<Alert, "alert.list">("alert.list", useMemo(() => ({ limit: 200 }), []));
  useTenSeconds(() => `${gaps.value} ${moveCount.value} ${JSON.stringify(alerting.value)}`, alerts.refresh);
  const rows = current(alerts.rows, moves.value);
  const [suppressing, setSuppressing] = useState("");
  const columns: readonly Column<Alert>[] = [
    ...COLUMNS,
    {
      name: "quiet",
      // One column: who keeps it quiet, until when and why needs the room that the one act then left does not.
      width: "minmax(25rem, 2fr)",
      cell: (alert) =>
        alert.severity === "ok" && !alert.suppressed_until ? (
          ""
        ) : (
          <span class="said-and-acts">
            <Text of={quietness(alert)} />
            <span class="acts">
              <RowActs alert={alert} onActed={alerts.refresh} onSuppress={() => setSuppressing(alert.rule)} />
            </span>
          </span>
        ),
    },
  ];
  const { ordered, newer, orderAnew } = useOrder(rows, alerts.asOf);
  const tally = new Map<string, number>();
  for (const alert of rows) tally.set(wordOf(alert), (tally.get(wordOf(alert)) ?? 0) + 1);
  return (
    <>
      <h1>Alerts</h1>
      <p class="bar">
        {WORDS.filter((word) => tally.has(word)).map((word) => (
          <span>
            <State of={word} /> {count(tally.get(word) ?? 0)}
          </span>
        ))}
        <button
          class="pill"
          onClick={() => {
            orderAnew();
            alerts.refresh();
          }}
          disabled={alerts.loading}
        >
          {newer > 0 ? `${count(newer)} newer ↻` : "Refresh ↻"}
        </button>
      </p>
      {alerts.problem && <ProblemView problem={alerts.problem} />}
      <Grid
        main
        name="Alerts"
        rows={ordered}
        columns={columns}
        keyOf={(alert) => alert.rule}
        onOpen={(alert) => go(["alert", alert.rule])}
        onEnd={alerts.more}
        complete={alerts.complete}
        loading={alerts.loading}
        empty={alerts.loading ? "…" : alerts.problem ? "" : "No rule has been judged yet."}
      />
      {suppressing && (
        <SuppressDialog
          rule={suppressing}
          onClose={(acted) => {
            setSuppressing("");
            if (acted) alerts.refresh();
          }}
        />
      )}
    </>
  );
}

/** What may be done about one that is raised or kept quiet; opening it offers the same. */
function RowActs({ alert, onActed, onSuppress }: { alert: Alert; onActed: () => void; onSuppress: () => void }): VNode | null {
  const { rule } = alert;
  if (alert.lifecycle === "resolved") return null;
  if (alert.suppressed_until)
    return (
      <Act onAct={() => act("resolve", rule, {}, onActed)} scope="ops:write" inRow>
        Lift
      </Act>
    );
  return (
    <>
      {!alert.acknowledged_by && (
        <Act onAct={() => act("acknowledge", rule, {}, onActed)} scope="ops:write" inRow>
          Acknowledge
        </Act>
      )}{" "}
      <Act onAct={onSuppress} scope="ops:write" inRow>
        Suppress…
      </Act>{" "}
      <Act onAct={() => act("resolve", rule, {}, onActed)} scope="ops:write" inRow>
        Resolve
      </Act>
    </>
  );
}

function OneAlert({ rule }: { rule: string }): VNode {
  const asked = useAnswer<Alert, "alert.get">("alert.get", useMemo(() => ({ rule }), [rule]));
  const [suppressing, setSuppressing] = useState(false);
  const version = moves.value.get(rule)?.version;
  useEffect(() => {
    if (version !== undefined) asked.refresh();
  }, [version]);
  useTenSeconds(() => `${gaps.value} ${alerting.value.find(([name]) => name === rule)?.[1] ?? ""}`, asked.refresh);
  useKeys([{ key: "Escape", help: "back", run: () => back(["alerts"]) }]);
  const alert = asked.result;
  const raised = alert !== null && alert.severity !== "ok";
  return (
    <>
      <h1>Alert {visible(rule)}</h1>
      {asked.problem && <ProblemView problem={asked.problem} />}
      {alert && (
        <>
          <p class="bar">
            <State of={alert.severity} /> <State of={alert.lifecycle} /> <b>{alert.value === null ? "–" : visible(figureOf(alert.value))}</b>
            <span>{visible(limitsOf(alert))}</span>
            <span>
              since <Instant at={alert.since} />
            </span>
            <span>{visible(quietness(alert))}</span>
          </p>
          <p class="bar">
            <Act onAct={() => act("acknowledge", rule, {}, asked.refresh)} scope="ops:write" disabled={!raised || Boolean(alert.acknowledged_by)} why={raised ? "it is acknowledged" : "nothing is raised"}>
              Acknowledge
            </Act>
            <Act onAct={() => setSuppressing(true)} scope="ops:write">
              Suppress…
            </Act>
            <Act onAct={() => act("resolve", rule, {}, asked.refresh)} scope="ops:write" disabled={alert.lifecycle === "resolved"} why="it is resolved">
              {alert.suppressed_until ? "Resolve, lift the suppression" : "Resolve"}
            </Act>
          </p>
          <h2>History</h2>
          <ol class="steps">{alert.history?.map((step) => <StepLine step={step} />)}</ol>
        </>
      )}
      {suppressing && (
        <SuppressDialog
          rule={rule}
          onClose={(acted) => {
            setSuppressing(false);
            if (acted) asked.refresh();
          }}
        />
      )}
    </>
  );
}

/** A step of an alert: what happened, from where to where, by whom and why. */
function StepLine({ step }: { step: AlertStep }): VNode {
  const { at, notifications, transition_id: _id, version: _version, what, severity, lifecycle, from, actor, value, ...rest } = step;
  const before = (from ?? {}) as { severity?: string; lifecycle?: string };
  return (
    <li>
      <Instant at={at} />
      <span>{visible(String(what ?? "").replaceAll("_", " "))}</span>
      <span>
        {before.severity && (
          <>
            <State of={before.severity} /> {visible(before.lifecycle ?? "")} →{" "}
          </>
        )}
        <State of={String(severity ?? "")} /> {visible(String(lifecycle ?? ""))} {value !== null && value !== undefined && <>at {visible(figureOf(value))}</>}{" "}
        {actor && <>by {visible(String(actor))}</>} <Details of={rest} /> {notifications?.map((told) => `${visible(told.notifier)} ${visible(told.state)}`).join(", ")}
      </span>
    </li>
  );
}

function SuppressDialog({ rule, onClose }: { rule: string; onClose: (acted: boolean) => void }): VNode {
  const [hours, setHours] = useState("1");
  const [reason, setReason] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    const minutes = Math.max(1, Math.round(Number(hours) * 60));
    if (reason.trim() === "" || !(Number(hours) > 0)) return;
    act("suppress", rule, { until: new Date(now.value + minutes * 60_000).toISOString(), reason }, () => onClose(true));
  };
  return (
    <Dialog title="Suppress" about={visible(rule)} onClose={() => onClose(false)}>
      <form onSubmit={submit}>
        <label>
          Hours <input type="number" min="0.1" max="8760" step="any" value={hours} onInput={(event) => setHours(event.currentTarget.value)} />
        </label>
        <label>
          Reason <input type="text" value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
        <footer>
          <button type="button" onClick={() => onClose(false)}>
            Cancel
          </button>
          <Act submit kind="main" onAct={() => undefined} scope="ops:write" disabled={reason.trim() === "" || !(Number(hours) > 0)} why="say the reason">
            Suppress
          </Act>
        </footer>
      </form>
    </Dialog>
  );
}
