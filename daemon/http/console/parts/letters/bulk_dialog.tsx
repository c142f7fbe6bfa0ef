/**
 * Replay and discard: dry run first, the selection frozen by it, the count typed where it is large, then the same dialog
 * follows the runs. Several groups are several runs: one filter cannot name two groups without their neighbours.
 */

import { useComputed } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { ask, newMessageId, type Answer } from "../../link/ask.ts";
import { who } from "../../link/principal.ts";
import type { RunItem } from "../../link/views.ts";
import { filterText, letterPayload, narrows, type Payload, type Terms } from "../../model/lists/filters.ts";
import { href } from "../../model/route.ts";
import { count, plural, visible } from "../../model/text.ts";
import type { Problem } from "../../model/errors.ts";
import { hasEnded, progressOf, type RunStatus } from "../../model/progress.ts";
import { Abort } from "../abort.tsx";
import { Act } from "../act.tsx";
import { Dialog } from "../dialog.tsx";
import { say, sayProblem } from "../shell/outcome.tsx";
import { now } from "../shell/preferences.ts";
import { ProblemView } from "../problem.tsx";
import { RunProgress, useRuns } from "../run_progress.tsx";
import { Instant } from "../time.tsx";

export interface Target {
  readonly terms: Terms;
  /** Ids where single letters are meant; the terms do not matter then. */
  readonly ids?: readonly string[];
  readonly except?: readonly string[];
  /** How many the list showed. */
  readonly known: number | null;
}

interface BulkDialogProps {
  readonly verb: "Replay" | "Discard";
  readonly targets: readonly Target[];
  readonly onClose: (acted: boolean) => void;
}

interface DryRun {
  readonly requested: number;
  readonly items?: readonly RunItem[];
  readonly frozen_at?: string;
}

interface Frozen {
  readonly total: number;
  readonly inFlight: number;
  readonly payloads: readonly Payload[];
  readonly frozenAt: string | null;
}

/** Above so many the count is typed. */
const TYPED_ABOVE = 100;

function payloadOf(target: Target, at: number): Payload {
  if (target.ids) return { ids: target.ids };
  const payload = letterPayload(target.terms, at);
  return {
    ...payload,
    ...(narrows(payload) ? {} : { all: true }),
    ...(target.except?.length ? { except_ids: target.except } : {}),
  };
}

/** What was selected, held to the moment of the dry run: later failures do not join. */
function frozenPayload(payload: Payload, frozenAt: string | undefined): Payload {
  if (frozenAt === undefined || payload["ids"] !== undefined) return payload;
  const until = payload["until"];
  return typeof until === "string" && Date.parse(until) < Date.parse(frozenAt) ? payload : { ...payload, until: frozenAt };
}

function send<T>(verb: string, payload: Payload, messageId?: string): Promise<Answer<T>> {
  const options = messageId === undefined ? {} : { messageId, onSlow: say };
  return verb === "Replay"
    ? ask<T, "replay-failed">("replay-failed", { targets: ["dead_letters"], ...payload }, options)
    : ask<T, "dead-letters">("dead-letters", { action: "discard", ...payload }, options);
}

export function BulkDialog({ verb, targets, onClose }: BulkDialogProps): VNode {
  const messageIds = useMemo(() => targets.map(() => newMessageId()), []);
  const [reason, setReason] = useState("");
  const [frozen, setFrozen] = useState<Frozen | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const [runs, setRuns] = useState<readonly string[]>([]);

  const dryRun = async (): Promise<void> => {
    setBusy(true);
    setProblem(null);
    const at = now.value;
    const looks = targets.map((target) => payloadOf(target, at));
    const extra = verb === "Discard" ? { reason: reason || "dry run" } : {};
    const answers = await Promise.all(looks.map((payload) => send<DryRun>(verb, { ...payload, ...extra, dry_run: true })));
    setBusy(false);
    const failed = answers.find((answer) => !answer.ok);
    if (failed && !failed.ok) return setProblem(failed.problem);
    const results = answers.flatMap((answer) => (answer.ok ? [answer.result] : []));
    const items = results.flatMap((result) => result.items ?? []);
    setFrozen({
      total: results.reduce((sum, result) => sum + result.requested, 0),
      inFlight: items.filter((item) => item.reason === "in_flight").length,
      payloads: looks.map((payload, index) => frozenPayload(payload, results[index]?.frozen_at)),
      frozenAt: results[0]?.frozen_at ?? null,
    });
  };
  useEffect(() => void dryRun(), []);

  const act = async (limits: Payload): Promise<void> => {
    if (frozen === null) return;
    setBusy(true);
    setProblem(null);
    const started: string[] = [];
    for (const [index, payload] of frozen.payloads.entries()) {
      const sent = { ...payload, ...limits, ...(verb === "Discard" ? { reason } : {}) };
      const answer = await send<{ run_id: string }>(verb, sent, messageIds[index]);
      if (!answer.ok) {
        setProblem(answer.problem);
        sayProblem(answer.problem);
        break;
      }
      started.push(answer.result.run_id);
    }
    setBusy(false);
    if (started.length) {
      setRuns(started);
      say(`${verb} of ${plural(frozen.total, "letter")} has begun`);
    }
  };

  const known = frozen?.total ?? (targets.every((target) => target.known !== null) ? sumKnown(targets) : null);
  return (
    <Dialog
      title={verb}
      about={runs.length ? <RunLinks ids={runs} /> : known === null ? "" : plural(known, "letter")}
      onClose={() => onClose(runs.length > 0)}
    >
      {runs.length > 0 ? (
        <Following verb={verb} runs={runs} targets={targets} since={frozen?.frozenAt ?? null} />
      ) : (
        <Asking
          verb={verb}
          targets={targets}
          frozen={frozen}
          known={known}
          busy={busy}
          reason={reason}
          onReason={setReason}
          onDryRun={() => void dryRun()}
          onAct={(limits) => void act(limits)}
          onCancel={() => onClose(false)}
        />
      )}
      {problem && <ProblemView problem={problem} />}
    </Dialog>
  );
}

const sumKnown = (targets: readonly Target[]): number => targets.reduce((sum, target) => sum + (target.known ?? 0), 0);

function RunLinks({ ids }: { ids: readonly string[] }): VNode {
  return (
    <>
      {ids.map((id, at) => (
        <>
          {at > 0 && ", "}
          <a href={href(["run", id])} class="mono">
            Run {id}
          </a>
        </>
      ))}
    </>
  );
}

interface AskingProps {
  readonly verb: "Replay" | "Discard";
  readonly targets: readonly Target[];
  readonly frozen: Frozen | null;
  readonly known: number | null;
  readonly busy: boolean;
  readonly reason: string;
  readonly onReason: (reason: string) => void;
  readonly onDryRun: () => void;
  readonly onAct: (limits: Payload) => void;
  readonly onCancel: () => void;
}

function Asking({ verb, targets, frozen, known, busy, reason, onReason, onDryRun, onAct, onCancel }: AskingProps): VNode {
  const [typed, setTyped] = useState("");
  const [perSecond, setPerSecond] = useState("");
  const [stopAt, setStopAt] = useState((known ?? 0) > TYPED_ABOVE ? "10" : "");
  const total = frozen?.total ?? 0;
  const mustType = total > TYPED_ABOVE;
  const matches = typed.replaceAll(/[,\s]/g, "") === String(total);
  const missing =
    frozen === null
      ? "dry run first"
      : total === 0
        ? "nothing is selected"
        : mustType && !matches
          ? "type the count"
          : verb === "Discard" && reason.trim() === ""
            ? "say the reason"
            : null;
  const limits: Payload = {
    ...(Number(perSecond) > 0 ? { rate_per_second: Number(perSecond) } : {}),
    ...(stopAt !== "" && Number(stopAt) >= 0 ? { stop_on_failure_ratio: Number(stopAt) / 100 } : {}),
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (missing === null && !busy) onAct(verb === "Replay" ? limits : {});
  };
  return (
    <form onSubmit={submit}>
      {targets.slice(0, 5).map((target) => (
        <p class="mono">{target.ids ? `${plural(target.ids.length, "letter")} chosen one by one` : visible(filterText(target.terms))}</p>
      ))}
      {targets.length > 5 && <p>and {targets.length - 5} more groups, each a run of its own</p>}
      {verb === "Replay" && (
        <PaceFields perSecond={perSecond} onPerSecond={setPerSecond} stopAt={stopAt} onStopAt={setStopAt} />
      )}
      {verb === "Discard" && (
        <label>
          Reason <input type="text" value={reason} maxLength={500} onInput={(event) => onReason(event.currentTarget.value)} />
        </label>
      )}
      <p>
        <Act onAct={onDryRun} scope="ops:write" disabled={busy}>
          Dry run
        </Act>{" "}
        {frozen && (
          <span role="status">
            <b>
              {count(total - frozen.inFlight)} {verb === "Replay" ? "would go" : "would be discarded"}
            </b>
            {verb === "Replay" && `, ${count(frozen.inFlight)} in flight`}
            {frozen.frozenAt && (
              <>
                {" "}
                as of <Instant at={frozen.frozenAt} />: what fails later does not join
              </>
            )}
          </span>
        )}
      </p>
      {mustType && (
        <label>
          Count to confirm{" "}
          <input type="text" inputMode="numeric" autocomplete="off" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
      )}
      <footer>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
        <Act submit onAct={() => undefined} scope="ops:write" kind={verb === "Discard" ? "danger" : "main"} disabled={missing !== null || busy} why={missing ?? "asking"}>
          {verb} {count(frozen?.total ?? known ?? 0)}
        </Act>
      </footer>
    </form>
  );
}

interface PaceProps {
  readonly perSecond: string;
  readonly onPerSecond: (value: string) => void;
  readonly stopAt: string;
  readonly onStopAt: (value: string) => void;
}

function PaceFields({ perSecond, onPerSecond, stopAt, onStopAt }: PaceProps): VNode {
  const [limited, setLimited] = useState(false);
  return (
    <fieldset>
      <legend>Pace</legend>
      <label>
        <input type="radio" name="pace" checked={!limited} onChange={() => (setLimited(false), onPerSecond(""))} /> 1, 10, 100, …
      </label>
      <label>
        <input type="radio" name="pace" checked={limited} onChange={() => setLimited(true)} /> at most{" "}
        <input
          type="number"
          min="0.1"
          step="any"
          aria-label="Letters a second"
          value={perSecond}
          onInput={(event) => (setLimited(true), onPerSecond(event.currentTarget.value))}
        />{" "}
        a second
      </label>
      <label>
        stop when more than{" "}
        <input type="number" min="0" max="100" aria-label="Stop above percent" value={stopAt} onInput={(event) => onStopAt(event.currentTarget.value)} />{" "}
        % are refused again
      </label>
    </fieldset>
  );
}

interface FollowingProps {
  readonly verb: string;
  readonly runs: readonly string[];
  readonly targets: readonly Target[];
  readonly since: string | null;
}

/** What runs came to, in words: that they succeeded does not say that the letters did. */
function cameTo(verb: string, runs: readonly RunStatus[]): string {
  const { replayed, stillFailed, skipped, discarded } = progressOf(runs);
  const ends = [...new Set(runs.map((run) => `${runs.length > 1 ? "runs" : "run"} ${run.status}`))];
  const counts = verb === "Discard" ? [`discarded ${count(discarded)}`] : [`replayed ${count(replayed)}`, `again refused ${count(stillFailed)}`];
  return [...ends, ...counts, ...(skipped > 0 ? [`skipped ${count(skipped)}`] : [])].join(", ");
}

function Following({ verb, runs, targets, since }: FollowingProps): VNode {
  const statuses = useRuns(runs);
  const going = useComputed(() => statuses.value.length < runs.length || statuses.value.some((run) => !hasEnded(run.status))).value;
  const [joined, setJoined] = useState<number | null>(null);
  const first = targets[0];
  useEffect(() => {
    if (going) return;
    say(`${verb}: ${cameTo(verb, statuses.peek())}`);
    if (since === null || !first || first.ids) return;
    void ask<{ items: { count: number }[] }, "dead-letters">("dead-letters", {
      action: "groups",
      ...letterPayload(first.terms, now.value),
      since,
      limit: 500,
    }).then((answer) => answer.ok && setJoined(answer.result.items.reduce((sum, group) => sum + group.count, 0)));
  }, [going]);
  return (
    <>
      <RunProgress of={statuses} discards={verb === "Discard"} />
      {joined !== null && joined > 0 && since !== null && first && (
        <p>
          {count(joined)} new letters in this group since it began{" "}
          <a href={href(["dead"], new URLSearchParams([...first.terms.filter((term) => term.key !== "since").map((term): [string, string] => [term.key, term.value]), ["since", since], ["view", "list"]]))}>
            Show them
          </a>
        </p>
      )}
      <p>
        {who.value && `${visible(who.value)}, `}
        <a href={href(["runs"], { operation: verb === "Replay" ? "replay-failed" : "dead-letters" })}>its row in the audit</a>
      </p>
      <footer>
        <Abort ids={runs} ended={!going} />
      </footer>
    </>
  );
}
