/** The story of anything that has an id: from delivery to the last event, in order. */

import type { VNode } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { PayloadOf } from "../link/commands.ts";
import type { Found, Page, Step } from "../link/views.ts";
import { href } from "../model/route.ts";
import { plural, visible } from "../model/text.ts";
import { isUnknown, useAnswer, useList } from "../parts/lists/answers.ts";
import { ProblemView } from "../parts/problem.tsx";
import { go, route } from "../parts/shell/router.ts";
import { Instant } from "../parts/time.tsx";
import { Details, Id, State } from "../parts/words.tsx";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function Story(): VNode {
  const { query } = route.value;
  const id = query.get("id") ?? "";
  const field = useRef<HTMLInputElement>(null);
  const find = (event: Event): void => {
    event.preventDefault();
    const wanted = field.current?.value.trim();
    if (wanted) go(["story"], { id: wanted });
  };
  return (
    <>
      <h1>Story</h1>
      <form class="filter" onSubmit={find}>
        <input ref={field} type="text" aria-label="Id" key={id} defaultValue={id} placeholder="an id of a message, dead letter, session, item, post, job, task, run, or a trace" spellcheck={false} />
        <button type="submit">Tell its story</button>
      </form>
      {id && <Told key={`${id} ${query.get("what") ?? ""} ${query.get("kind") ?? ""}`} id={id} what={query.get("what")} kind={query.get("kind")} />}
    </>
  );
}

type Question = PayloadOf<"explain">;

/** How a thing is asked for: a message by its kind, a trace by its id, anything else by its own. */
function questionOf(id: string, what: string | null, kind: string | null): Question {
  if (what === "message" && kind) return { kind, message_id: id };
  return what === "trace" ? { trace_id: id } : { id };
}

function Told({ id, what, kind }: { id: string; what: string | null; kind: string | null }): VNode {
  const found = useAnswer<Page<Found>, "find">("find", useMemo(() => ({ id }), [id]));
  const first = found.result?.items[0];
  const question = useMemo<Question | null>(() => {
    if (what) return questionOf(id, what, kind);
    if (first) return questionOf(first.id, first.what, first.kind ?? null);
    return found.problem && isUnknown(found.problem) ? (UUID.test(id) ? { trace_id: id } : { id }) : null;
  }, [id, what, kind, first, found.problem]);
  return (
    <>
      {found.problem && <ProblemView problem={found.problem} live={false} />}
      {found.result?.items.length === 0 && <p>Nothing bears the id {visible(id)}.</p>}
      {found.result && found.result.items.length > 0 && <Matches found={found.result.items} id={id} what={what ?? first?.what ?? ""} kind={kind ?? first?.kind ?? ""} />}
      {question && <Steps question={question} of={id} />}
    </>
  );
}

/** Where a thing has a view of its own. */
const VIEW_OF: Readonly<Record<string, string>> = { dead_letter: "dead", session: "session", job: "job", run: "run" };

function Matches({ found, id, what, kind }: { found: readonly Found[]; id: string; what: string; kind: string }): VNode {
  return (
    <ul class="plainlist" aria-label="What bears this id">
      {found.map((each) => {
        const chosen = each.what === what && (each.kind ?? "") === kind && (each.id === id || found.length === 1);
        const view = VIEW_OF[each.what];
        return (
          <li>
            <a href={href(["story"], { id: each.id, what: each.what, ...(each.kind ? { kind: each.kind } : {}) })} aria-current={chosen ? "true" : undefined}>
              {visible(each.what.replace("_", " "))} {visible(each.kind ?? "")}
            </a>{" "}
            {visible(each.label)} <Instant at={each.at} /> {view && <a href={href([view, each.id])}>open</a>}
          </li>
        );
      })}
    </ul>
  );
}

function Steps({ question, of }: { question: Question; of: string }): VNode {
  const steps = useList<Step, "explain">("explain", useMemo(() => ({ ...question, limit: 200 }), [question]));
  useEffect(() => {
    if (!steps.complete && steps.rows.length < 1_000) steps.more();
  }, [steps.rows.length, steps.complete]);
  return (
    <section>
      <h2>Story of {visible(of)}</h2>
      {steps.problem && <ProblemView problem={steps.problem} live={false} />}
      <ol class="steps" aria-label="Steps">
        {steps.rows.map((step) => (
          <li>
            <Instant at={step.at} />
            <State of={step.what} />
            <span>
              {step.id && <StepId step={step} />} {step.from && visible(step.from)} {step.to && <>→ {visible(step.to)}</>} {step.by && <>by {visible(step.by)}</>}{" "}
              <Details of={step.details} />
            </span>
          </li>
        ))}
      </ol>
      {!steps.complete && steps.rows.length > 0 && (
        <p>
          {plural(steps.rows.length, "step")} are shown. <button onClick={steps.more}>More</button>
        </p>
      )}
    </section>
  );
}

const STEP_VIEW: Readonly<Record<string, string>> = { dead_letter: "dead", edited: "dead", discarded: "dead", run: "run", alert: "alert" };

function StepId({ step }: { step: Step }): VNode {
  const view = STEP_VIEW[step.what];
  const id = step.id ?? "";
  return view ? (
    <a href={href([view, id])}>
      <Id of={id} />
    </a>
  ) : (
    <a href={href(["story"], { id })}>
      <Id of={id} />
    </a>
  );
}
