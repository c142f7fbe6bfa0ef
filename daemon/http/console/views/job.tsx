/** One job: where it stands, what was drafted, what it cost, what was tried, and what may be done now. */

import type { VNode } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, newMessageId } from "../link/ask.ts";
import type { Command } from "../link/commands.ts";
import { watchKey } from "../link/watch.ts";
import type { Instruction, Job as JobView, JobEvent } from "../link/views.ts";
import { staysOf, timeIn, type Stay } from "../model/job_steps.ts";
import { usd } from "../model/money.ts";
import { newer } from "../model/progress.ts";
import { href } from "../model/route.ts";
import { count, httpsUrl, visible } from "../model/text.ts";
import { milliseconds } from "../model/time.ts";
import { Act } from "../parts/act.tsx";
import { useAnswer, useList, type Listed } from "../parts/lists/answers.ts";
import { useKeys } from "../parts/shell/keys.ts";
import { say, sayProblem } from "../parts/shell/outcome.tsx";
import { now } from "../parts/shell/preferences.ts";
import { ProblemView } from "../parts/problem.tsx";
import { back, go, route, setQuery } from "../parts/shell/router.ts";
import { Tabs } from "../parts/tabs.tsx";
import { Instant } from "../parts/time.tsx";
import { Details, Id, State, Text } from "../parts/words.tsx";
import { ApproveDialog } from "../parts/jobs/approve_dialog.tsx";
import { InstructionTab, StoryboardTab, TranscriptTab } from "../parts/jobs/job_documents.tsx";

const WAY = ["CREATED", "UPLOADED", "QUEUED", "TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "RENDERING", "READY", "DONE"];
const TABS = ["Instruction", "Transcript", "Storyboard", "History"];
const TERMINAL = new Set(["DONE", "FAILED", "CANCELLED"]);

export function Job(): VNode {
  const id = route.value.path[1] ?? "";
  return <OneJob key={id} id={id} />;
}

/** The newest view of a job: what was answered, or what came by its key. */
function useJob(id: string): { job: JobView | null; asked: ReturnType<typeof useAnswer<JobView, "job.get">> } {
  const asked = useAnswer<JobView, "job.get">("job.get", useMemo(() => ({ job_id: id }), [id]));
  const [live, setLive] = useState<JobView | null>(null);
  useEffect(() => watchKey<JobView>(`job.${id}`, (view) => setLive((known) => newer(known, view))), [id]);
  const job = asked.result === null ? live : live === null ? asked.result : newer(asked.result, live);
  return { job, asked };
}

function OneJob({ id }: { id: string }): VNode {
  const { job, asked } = useJob(id);
  const draft = useAnswer<Instruction, "instruction.get">(
    "instruction.get",
    useMemo(() => (job?.instruction_id ? { instruction_id: job.instruction_id } : null), [job?.instruction_id]),
  );
  const steps = useList<JobEvent, "job.history">("job.history", useMemo(() => ({ job_id: id, limit: 200 }), [id]));
  const askAgain = useRef(job?.version);
  useEffect(() => {
    if (askAgain.current !== undefined && askAgain.current !== job?.version) {
      draft.refresh();
      steps.refresh();
    }
    askAgain.current = job?.version;
  }, [job?.version]);
  const created = job !== null && steps.complete ? job.created_at : null;
  const stays = staysOf(steps.rows, created, now.value);
  const tab = TABS.find((name) => name.toLowerCase() === route.value.query.get("tab")) ?? "Instruction";
  useKeys([{ key: "Escape", help: "back", run: () => back(["jobs"]) }]);
  return (
    <>
      <h1>
        Job {job ? visible(job.title) : ""} <span class="mono soft">{visible(id)}</span>
      </h1>
      {asked.problem && !job && <ProblemView problem={asked.problem} />}
      {asked.problem && job && <p class="soft">It is another owner's: its view comes by its key, its documents are theirs.</p>}
      {job && (
        <>
          <Bar job={job} draft={draft.result} onActed={asked.refresh} />
          <Way job={job} stays={stays} />
          {job.error && <ProblemView problem={job.error} live={false} />}
          <Facts job={job} />
          <div class="bar">
            <Tabs label="About the job" names={TABS} chosen={tab} onChoose={(name) => setQuery({ tab: name.toLowerCase() })} />
            <a href={href(["story"], { id })}>Story</a>
          </div>
          {tab === "Instruction" && <InstructionTab job={job} newest={draft} />}
          {tab === "Transcript" && <TranscriptTab job={job} />}
          {tab === "Storyboard" && <StoryboardTab job={job} />}
          {tab === "History" && <History steps={steps} stays={stays} />}
        </>
      )}
    </>
  );
}

type JobAct = Extract<Command, "job.run" | "job.render" | "job.cancel" | "job.retry">;

function Bar({ job, draft, onActed }: { job: JobView; draft: Instruction | null; onActed: () => void }): VNode {
  const [approving, setApproving] = useState(false);
  const act = (command: JobAct, word: string): void =>
    void ask<JobView, JobAct>(command, { job_id: job.job_id }, { messageId: newMessageId(), onSlow: say }).then((answer) => {
      if (!answer.ok) return sayProblem(answer.problem);
      say(`${word}: ${answer.result.status}`);
      if (command === "job.retry" && answer.result.job_id !== job.job_id) go(["job", answer.result.job_id]);
      else onActed();
    });
  const is = (...states: string[]): boolean => states.includes(job.status);
  return (
    <div class="bar">
      <State of={job.status} /> <span>version {count(job.version)}</span>
      <Act onAct={() => setApproving(true)} scope="jobs:write" kind="main" disabled={!is("AWAITING_APPROVAL", "READY")} why={`it is ${job.status}`}>
        {draft === null ? "Approve…" : `Approve v${draft.version}…`}
      </Act>
      <Act onAct={() => act("job.render", "Render")} scope="jobs:write" disabled={!job.approved || !is("AWAITING_APPROVAL", "READY")} why={job.approved ? `it is ${job.status}` : "approve it first"}>
        Render
      </Act>
      {is("CREATED", "UPLOADED") && (
        <Act onAct={() => act("job.run", "Run")} scope="jobs:write" disabled={!is("UPLOADED")} why="nothing is uploaded yet">
          Run
        </Act>
      )}
      <Act onAct={() => act("job.cancel", "Cancel")} scope="jobs:write" kind="danger" disabled={TERMINAL.has(job.status)} why={`it is ${job.status}`}>
        Cancel job
      </Act>
      <Act onAct={() => act("job.retry", "Retry")} scope="jobs:write" disabled={!is("FAILED")} why={`it is ${job.status}`}>
        Retry
      </Act>
      {approving && (
        <ApproveDialog
          job={job}
          onClose={(acted) => {
            setApproving(false);
            if (acted) onActed();
          }}
        />
      )}
    </div>
  );
}

function Way({ job, stays }: { job: JobView; stays: readonly Stay[] }): VNode {
  const at = WAY.indexOf(job.status);
  const times = timeIn(stays);
  return (
    <ol class="timeline" aria-label="The way of the job">
      {[...WAY, ...(at < 0 ? [job.status] : [])].map((state, index) => (
        <li class={at < 0 || index <= at ? "passed" : ""} aria-current={state === job.status ? "step" : undefined}>
          {state === job.status ? <State of={state} /> : state} {times.has(state) && <span class="soft">{milliseconds(times.get(state))}</span>}
        </li>
      ))}
    </ol>
  );
}

function Facts({ job }: { job: JobView }): VNode {
  const link = httpsUrl(job.video_url);
  return (
    <dl>
      <dt>cost</dt>
      <dd>
        {usd(job.actual_cost_usd)}
        {job.estimated_cost_usd ? ` of ${usd(job.estimated_cost_usd)}` : ""}
      </dd>
      <dt>progress</dt>
      <dd>{job.progress === null ? "–" : `${job.progress} %`}</dd>
      <dt>attempt</dt>
      <dd>
        {count(job.attempt)}
        {job.dispatches !== undefined && `, dispatches ${count(job.dispatches)}`}
        {job.retry_of && (
          <>
            , retry of <a href={href(["job", job.retry_of])}>{visible(job.retry_of)}</a>
          </>
        )}
      </dd>
      <dt>approved</dt>
      <dd>
        {job.approved_by ? (
          <>
            by {visible(job.approved_by)} <Instant at={job.approved_at} />
          </>
        ) : (
          "not yet"
        )}
      </dd>
      {job.owner && (
        <>
          <dt>owner</dt>
          <dd>
            <Text of={job.owner} />
          </dd>
        </>
      )}
      <dt>project</dt>
      <dd>
        <a href={href(["jobs"], { project: job.project_id })}>
          <Id of={job.project_id} />
        </a>
      </dd>
      <dt>video</dt>
      <dd>
        {link ? (
          <a href={link} rel="noopener noreferrer" target="_blank">
            {visible(link)}
          </a>
        ) : (
          <Text of={job.video_url ?? job.video_uri} />
        )}
      </dd>
      <dt>created</dt>
      <dd>
        <Instant at={job.created_at} />
      </dd>
      <dt>moved</dt>
      <dd>
        <Instant at={job.updated_at} />
      </dd>
    </dl>
  );
}

function History({ steps: events, stays }: { steps: Listed<JobEvent>; stays: readonly Stay[] }): VNode {
  const lasted = new Map(stays.map((stay) => [stay.version, stay]));
  return (
    <section aria-label="History">
      {events.problem && <ProblemView problem={events.problem} live={false} />}
      <ol class="steps">
        {events.rows.map((event) => (
          <li>
            <Instant at={event.when} />
            <span>{visible(event.who)}</span>
            <span>
              {visible(event.what)} {event.from && visible(event.from)} {event.to && <>→ {visible(event.to)}</>} <Lasted stay={lasted.get(event.version)} />{" "}
              <Details of={event.details} />
            </span>
          </li>
        ))}
      </ol>
      {events.rows.length > 0 && !events.complete && <button onClick={events.more}>More</button>}
    </section>
  );
}

/** How long the state lasted that a step led to. */
function Lasted({ stay }: { stay: Stay | undefined }): VNode | null {
  return stay === undefined ? null : (
    <span class="soft lasted">
      {stay.goesOn ? "for" : "lasted"} {milliseconds(stay.ms)}
    </span>
  );
}
