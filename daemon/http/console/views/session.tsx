/** One session: what it used, what that cost and how that is known, its newest events. */

import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import type { Page, Provenance, Session as SessionView, SessionEvent } from "../link/views.ts";
import { usd } from "../model/money.ts";
import { href } from "../model/route.ts";
import { count, cut, plural, visible, visibleLines } from "../model/text.ts";
import { isUnknown, useAnswer } from "../parts/lists/answers.ts";
import { useKeys } from "../parts/shell/keys.ts";
import { ProblemView } from "../parts/problem.tsx";
import { back, route } from "../parts/shell/router.ts";
import { Instant } from "../parts/time.tsx";
import { State, Text, Value } from "../parts/words.tsx";

export function Session(): VNode {
  const id = route.value.path[1] ?? "";
  return <OneSession key={id} id={id} />;
}

function OneSession({ id }: { id: string }): VNode {
  const asked = useAnswer<SessionView, "ledger.get">("ledger.get", useMemo(() => ({ session_id: id }), [id]));
  const logs = useAnswer<Page<SessionEvent>, "logs">("logs", useMemo(() => ({ session_id: id, limit: 200 }), [id]));
  useKeys([{ key: "Escape", help: "back", run: () => back(["cost"]) }]);
  const session = asked.result;
  const events = logs.result?.items ?? session?.newest_events ?? [];
  return (
    <>
      <h1>Session {visible(id)}</h1>
      {asked.problem && <ProblemView problem={asked.problem} />}
      {session && <Facts session={session} />}
      <p>
        <button class="pill" onClick={() => (asked.refresh(), logs.refresh())}>
          Refresh ↻
        </button>{" "}
        <a href={href(["story"], { id, what: "session" })}>Story</a>
      </p>
      <h2>Events, newest first</h2>
      {logs.problem && !isUnknown(logs.problem) && <ProblemView problem={logs.problem} live={false} />}
      <ol class="steps">
        {events.map((event) => (
          <li>
            <Instant at={event.at} />
            <State of={event.type} />
            <span>
              {event.text && visibleLines(cut(event.text, 2_000))} {event.data !== undefined && <Value of={event.data} />}
            </span>
          </li>
        ))}
      </ol>
      {session && events.length === 0 && <p>No events are kept.</p>}
    </>
  );
}

/** Amounts come as text, to be shown digit for digit. */
const figure = (value: string | number): string => (typeof value === "number" ? count(value) : value);

const origin = (provenance: Provenance | undefined, what: string): string =>
  provenance ? `: ${what} reported ${figure(provenance.reported)}, derived ${figure(provenance.derived)}, missing in ${plural(provenance.missing_count, "request")}` : "";

function Facts({ session }: { session: SessionView }): VNode {
  return (
    <dl>
      <dt>status</dt>
      <dd>
        <State of={session.status} />
      </dd>
      <dt>agent</dt>
      <dd>
        <Text of={session.agent} />
      </dd>
      <dt>model</dt>
      <dd>
        <Text of={session.model} />
      </dd>
      <dt>started</dt>
      <dd>
        <Instant at={session.started_at} />
      </dd>
      <dt>last heard</dt>
      <dd>
        <Instant at={session.last_at} />
      </dd>
      <dt>requests</dt>
      <dd>{count(session.requests)}</dd>
      <dt>tokens</dt>
      <dd>
        {count(session.input_tokens)} in, {count(session.output_tokens)} out{origin(session.tokens, "tokens")}
      </dd>
      <dt>cost</dt>
      <dd>
        {usd(session.cost_usd)}
        {origin(session.cost, "USD")}
      </dd>
      <dt>events</dt>
      <dd>{count(session.events)}</dd>
    </dl>
  );
}
