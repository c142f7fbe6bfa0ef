/**
 * Edit and replay. The text goes out as it stands in the editor; the schema judges it while it is written, the gate on
 * request, and a replay that is refused again leaves the text where it is.
 */

import type { VNode } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, newMessageId } from "../../link/ask.ts";
import type { Letter } from "../../link/views.ts";
import { changedLines, lineDifference, nearest } from "../../model/json/difference.ts";
import type { Problem } from "../../model/errors.ts";
import type { Fault } from "../../model/json/exact_json.ts";
import { formatted } from "../../model/json/json_tokens.ts";
import { linesOf, placed } from "../../model/json/schema_paths.ts";
import { count, plural, visible } from "../../model/text.ts";
import { Act } from "../act.tsx";
import type { Handle } from "./codemirror.ts";
import { DifferenceView } from "../difference.tsx";
import { draftOf, keepDraft } from "./drafts.ts";
import { Editor } from "./editor.tsx";
import { breathe, painted, useJudgement, useRest } from "./resting.ts";
import { say, sayProblem } from "../shell/outcome.tsx";
import { ProblemView } from "../problem.tsx";
import { State } from "../words.tsx";

interface Verdict {
  readonly outcome: string;
  readonly error?: Problem;
  /** The text that was judged. */
  readonly of: string;
}

interface LetterEditorProps {
  readonly letter: Letter;
  readonly original: string;
  readonly onSent: () => void;
}

export function LetterEditor({ letter, original, onSent }: LetterEditorProps): VNode {
  const id = letter.dead_letter_id;
  const opened = useMemo(() => formatted(original) ?? original, [original]);
  const given = useMemo(() => draftOf(id) ?? opened, []);
  // As it was at the last pause: while a key is pressed, nothing but the editor works on the text.
  const [text, setText] = useState(given);
  const [reason, setReason] = useState("");
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const handle = useRef<Handle | null>(null);
  const judged = useJudgement(text, letter.kind);
  const faults = useMemo(() => (verdict?.error ? placed(verdict.error.details ?? [], verdict.of) : (judged?.faults ?? [])), [verdict, judged]);

  const current = (): string => handle.current?.text() ?? text;
  const keep = (next: string): void => keepDraft(id, next === opened ? null : next);
  const { stir, settle } = useRest(() => {
    keep(current());
    setText(current());
  });
  const edited = (): void => {
    if (verdict !== null) setVerdict(null);
    stir();
  };
  const put = (next: string): void => {
    handle.current?.replace(next);
    settle();
  };

  const check = async (): Promise<Verdict | null> => {
    const body = current();
    setBusy(true);
    const answer = await ask<Omit<Verdict, "of">, "dead-letters">("dead-letters", { action: "check", dead_letter_id: id, body }, { onSlow: say });
    setBusy(false);
    if (!answer.ok) {
      setProblem(answer.problem);
      return null;
    }
    setProblem(null);
    const found = { ...answer.result, of: body };
    if (current() === body) setVerdict(found);
    say(`The gate says: ${found.outcome}`);
    return found;
  };

  const acts = useRef(new Map<string, string>());
  const replay = async (): Promise<void> => {
    const body = current();
    const payload = { action: "edit", dead_letter_id: id, body, base_replay_number: letter.replay_number, ...(reason.trim() ? { reason } : {}) };
    // One act keeps its id however often it is sent; another body or reason is another act.
    const key = JSON.stringify(payload);
    const messageId = acts.current.get(key) ?? newMessageId();
    acts.current.set(key, messageId);
    setBusy(true);
    const answer = await ask<{ replay_number: number }, "dead-letters">("dead-letters", payload, { messageId, onSlow: say });
    setBusy(false);
    if (!answer.ok) {
      setProblem(answer.problem);
      return sayProblem(answer.problem);
    }
    setProblem(null);
    setVerdict(null);
    say(`Replay ${answer.result.replay_number} is on its way`);
    onSent();
  };
  const checkAndReplay = async (): Promise<void> => {
    if (busy || letter.state !== "open") return;
    const found = await check();
    if (found !== null && found.outcome !== "refused") await replay();
  };

  return (
    <div class="editing">
      <Editor text={given} faults={faults} onEdit={edited} onSubmit={() => void checkAndReplay()} onLeave={keep} handle={handle} />
      <FaultList faults={faults} text={text} onGo={(offset) => handle.current?.goTo(offset)} />
      <p class="verdicts">
        <span>schema: {judged === null ? "…" : judged.faults.length ? plural(judged.faults.length, "fault") : judged.schema ? "no fault" : "none applies"}</span>{" "}
        <span>gate: {verdict ? <State of={verdict.outcome} /> : "not asked yet"}</span> <ChangedLines original={original} text={text} />
      </p>
      {verdict?.error && <ProblemView problem={verdict.error} />}
      {problem && <ProblemView problem={problem} />}
      {problem?.code === "VERSION_CONFLICT" && <button onClick={onSent}>Load what was done meanwhile, keep my text</button>}
      <label>
        Reason <input type="text" value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <p class="bar">
        <button onClick={() => put(formatted(current()) ?? current())}>Format</button>
        <button onClick={() => put(original)}>Raw</button>
        <button onClick={() => put(opened)}>Revert</button>
        <Act onAct={() => void check()} scope="ops:write" disabled={busy}>
          Check
        </Act>
        <Act kind="main" onAct={() => void replay()} scope="ops:write" disabled={busy || letter.state !== "open"} why={`it is ${letter.state}`} hint="Ctrl+⏎">
          Replay edited
        </Act>
      </p>
    </div>
  );
}

const MOST_FAULTS = 50;

function FaultList({ faults, text, onGo }: { faults: readonly Fault[]; text: string; onGo: (offset: number) => void }): VNode | null {
  const shown = faults.slice(0, MOST_FAULTS);
  const lines = useMemo(() => linesOf(text, shown.map(({ offset }) => offset)), [faults]);
  if (faults.length === 0) return null;
  return (
    <ul class="faults" aria-label="Faults">
      {shown.map((fault, at) => (
        <li>
          <button class="quiet" onClick={() => onGo(fault.offset)}>
            line {count(lines[at] ?? 1)} <code>{visible(fault.path)}</code> {visible(fault.message)}
          </button>
        </li>
      ))}
      {faults.length > MOST_FAULTS && <li>and {count(faults.length - MOST_FAULTS)} more</li>}
    </ul>
  );
}

/** What is compared: both set in lines where both are JSON, so that blanks alone are no difference. */
function comparable(original: string, text: string): [string, string] {
  const [was, now] = [formatted(original), formatted(text)];
  if (was !== null && now !== null) return [was, now];
  return [nearest(was === null ? [original] : [was, original], text), text];
}

function ChangedLines({ original, text }: { original: string; text: string }): VNode {
  const [shown, setShown] = useState(false);
  const [changed, setChanged] = useState<number | null>(null);
  useEffect(() => {
    let gone = false;
    void painted()
      .then(breathe)
      .then(() => !gone && setChanged(changedLines(...comparable(original, text))));
    return () => {
      gone = true;
    };
  }, [original, text]);
  const lines = useMemo(() => (shown ? lineDifference(...comparable(original, text)) : []), [shown, original, text]);
  return (
    <>
      <button class="quiet" aria-expanded={shown} onClick={() => setShown(!shown)}>
        Difference: {changed === null ? "…" : plural(changed, "line")}
      </button>
      {shown && <DifferenceView lines={lines} />}
    </>
  );
}
