/**
 * Edit and replay. The text goes out as it stands in the editor; the schema judges it while it is written, the gate on
 * request, and a replay that is refused again leaves the text where it is.
 */

import type { VNode } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, newMessageId } from "../../link/ask.ts";
import { judge, type Judgement } from "../../link/schemas.ts";
import type { Letter } from "../../link/views.ts";
import { changedLines, lineDifference } from "../../model/difference.ts";
import type { Problem } from "../../model/errors.ts";
import { formatted, scan, type Fault } from "../../model/exact_json.ts";
import { lineOf, placeOf } from "../../model/schema_paths.ts";
import { count, plural, visible } from "../../model/text.ts";
import { Act } from "../act.tsx";
import type { Handle } from "./codemirror.ts";
import { DifferenceView } from "../difference.tsx";
import { Editor } from "./editor.tsx";
import { say, sayProblem } from "../shell/outcome.tsx";
import { ProblemView } from "../problem.tsx";
import { State } from "../words.tsx";

const PAUSE_MS = 300;

interface Verdict {
  readonly outcome: string;
  readonly error?: Problem;
  /** The text that was judged. */
  readonly of: string;
}

const draftKey = (id: string): string => `headgate.draft.${id}`;

function keepDraft(id: string, text: string | null): void {
  try {
    if (text === null) sessionStorage.removeItem(draftKey(id));
    else sessionStorage.setItem(draftKey(id), text);
  } catch {
    // No room for a draft: the text stays in the editor.
  }
}

interface LetterEditorProps {
  readonly letter: Letter;
  readonly original: string;
  readonly onSent: () => void;
}

export function LetterEditor({ letter, original, onSent }: LetterEditorProps): VNode {
  const id = letter.dead_letter_id;
  const opened = useMemo(() => formatted(original) ?? original, [original]);
  const [given, setGiven] = useState(() => sessionStorage.getItem(draftKey(id)) ?? opened);
  const [text, setText] = useState(given);
  const [reason, setReason] = useState("");
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const handle = useRef<Handle | null>(null);
  const rested = useRested(text);
  const judged = useJudgement(rested, letter.kind);
  const gate = verdict?.of === text ? verdict : null;
  const faults = gate?.error ? gateFaults(gate.error, text) : (judged?.faults ?? []);

  const changed = (next: string): void => {
    setText(next);
    keepDraft(id, next === opened ? null : next);
  };
  const put = (next: string): void => {
    setGiven(next);
    changed(next);
    handle.current?.replace(next);
  };
  const current = (): string => handle.current?.text() ?? text;

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
    setVerdict(found);
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
      <Editor text={given} faults={faults} onText={changed} onSubmit={() => void checkAndReplay()} handle={handle} />
      <FaultList faults={faults} text={text} onGo={(offset) => handle.current?.goTo(offset)} />
      <p class="verdicts">
        <span>schema: {judged === null ? "…" : judged.faults.length ? plural(judged.faults.length, "fault") : judged.schema ? "no fault" : "none applies"}</span>{" "}
        <span>gate: {gate ? <State of={gate.outcome} /> : "not asked yet"}</span> <ChangedLines original={original} text={rested} />
      </p>
      {gate?.error && <ProblemView problem={gate.error} />}
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

/** The text as it was at the last pause: what takes a while with a large body waits for it. */
function useRested(text: string): string {
  const [rested, setRested] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setRested(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return rested;
}

/** What strict JSON and the schema say. */
function useJudgement(text: string, kind: string): Judgement | null {
  const [judged, setJudged] = useState<Judgement | null>(null);
  useEffect(() => {
    let gone = false;
    judge(text, kind).then(
      (found) => !gone && setJudged(found),
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, [text, kind]);
  return judged;
}

function gateFaults(error: Problem, text: string): readonly Fault[] {
  const scanned = scan(text);
  return (error.details ?? []).map(({ path, message }) => ({ path, message, offset: placeOf(path, scanned) }));
}

function FaultList({ faults, text, onGo }: { faults: readonly Fault[]; text: string; onGo: (offset: number) => void }): VNode | null {
  if (faults.length === 0) return null;
  return (
    <ul class="faults" aria-label="Faults">
      {faults.slice(0, 50).map((fault) => (
        <li>
          <button class="quiet" onClick={() => onGo(fault.offset)}>
            line {count(lineOf(text, fault.offset))} <code>{visible(fault.path)}</code> {visible(fault.message)}
          </button>
        </li>
      ))}
    </ul>
  );
}

function ChangedLines({ original, text }: { original: string; text: string }): VNode {
  const [shown, setShown] = useState(false);
  const lines = useMemo(() => {
    const [was, now] = [formatted(original), formatted(text)];
    return was !== null && now !== null ? lineDifference(was, now) : lineDifference(original, text);
  }, [original, text]);
  const changed = changedLines(lines);
  return (
    <>
      <button class="quiet" aria-expanded={shown} onClick={() => setShown(!shown)}>
        Difference: {plural(changed, "line")}
      </button>
      {shown && <DifferenceView lines={lines} />}
    </>
  );
}
