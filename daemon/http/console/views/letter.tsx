/** One dead letter: why, from where, what was tried; its body, and the editor for it. */

import type { VNode } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Letter as LetterView } from "../link/views.ts";
import type { Fault } from "../model/json/exact_json.ts";
import { formatted } from "../model/json/json_tokens.ts";
import { href } from "../model/route.ts";
import { linesOf, placed } from "../model/json/schema_paths.ts";
import { bytes, count, plural, visible } from "../model/text.ts";
import { hasEnded } from "../model/progress.ts";
import { Act } from "../parts/act.tsx";
import { useAnswer } from "../parts/lists/answers.ts";
import { BulkDialog } from "../parts/letters/bulk_dialog.tsx";
import { useKeys } from "../parts/shell/keys.ts";
import { BodyView, download, useBody, type Body } from "../parts/letters/letter_body.tsx";
import { loadEditor } from "../parts/letters/editor.tsx";
import { Replays } from "../parts/letters/replays.tsx";
import { say } from "../parts/shell/outcome.tsx";
import { ProblemView } from "../parts/problem.tsx";
import { back, go, route } from "../parts/shell/router.ts";
import { followRun } from "../parts/run_progress.tsx";
import { Instant } from "../parts/time.tsx";
import { Id, State, Text } from "../parts/words.tsx";
import { letterOrder } from "./dead_letters.tsx";
import { LetterEditor } from "../parts/letters/letter_editor.tsx";

export function Letter(): VNode {
  const [, id = "", mode] = route.value.path;
  return <OneLetter key={id} id={id} editing={mode === "edit"} />;
}

function OneLetter({ id, editing }: { id: string; editing: boolean }): VNode {
  const asked = useAnswer<LetterView, "dead-letters">("dead-letters", useMemo(() => ({ action: "show", dead_letter_id: id }), [id]));
  const letter = asked.result;
  const body = useBody(letter);
  const [verb, setVerb] = useState<Verb | null>(null);
  const step = stepFrom(id, editing);
  const edit = (): void => go(["dead", id, "edit"]);
  useKeys(
    [
      { key: "r", help: "replay", run: () => letter && setVerb("Replay") },
      { key: "e", help: "edit", run: () => letter && isEditable(letter, body) && edit() },
      { key: "d", help: "discard", run: () => letter && setVerb("Discard") },
    ],
    asked.loading && letter === null,
  );
  useKeys([
    { key: "[", help: "letter before", run: () => step(-1) },
    { key: "]", help: "next letter", run: () => step(1) },
    { key: "y", help: "copy the link", run: copyLink },
    { key: "Escape", help: "back", run: () => (editing ? go(["dead", id]) : back(["dead"])) },
  ]);
  useOutcome(letter, asked.refresh);
  useEffect(() => {
    // Fetched beside the letter, not after it.
    if (editing) void loadEditor();
  }, [editing]);
  return (
    <>
      <h1>Dead letter {letter ? visible(`${letter.kind} ${letter.message_id ?? ""}`) : ""}</h1>
      {asked.problem && <ProblemView problem={asked.problem} />}
      {letter && <Bar letter={letter} body={body} editing={editing} onAct={setVerb} onEdit={edit} onStep={step} />}
      {letter && verb && (
        <BulkDialog
          verb={verb}
          targets={[{ terms: [], ids: [id], known: 1 }]}
          onClose={(acted) => {
            setVerb(null);
            if (acted) asked.refresh();
          }}
        />
      )}
      {letter && (
        <div class="two">
          <section aria-label="About it">
            <Why letter={letter} body={body} />
            <Origin letter={letter} />
            <Replays letter={letter} />
          </section>
          <section aria-label="Its body">
            {body === null ? (
              <p>…</p>
            ) : editing && body.text !== null && canEdit(letter) ? (
              <LetterEditor letter={letter} original={body.text} onSent={asked.refresh} />
            ) : (
              <Reading letter={letter} body={body} />
            )}
          </section>
        </div>
      )}
    </>
  );
}

type Verb = "Replay" | "Discard";

const canEdit = (letter: LetterView): boolean => letter.state === "open" || letter.state === "replaying";
const isEditable = (letter: LetterView, body: Body | null): boolean => canEdit(letter) && body?.text !== null;
const copyLink = (): void => void navigator.clipboard?.writeText(location.href).then(() => say("Link copied"));

/** Goes so many letters on in the list that the person came from, without waiting for the one in between. */
const stepFrom =
  (id: string, editing: boolean) =>
  (by: number): void => {
    const order = letterOrder.peek();
    const at = order.indexOf(id);
    const next = order[at + by];
    if (at >= 0 && next !== undefined) go(editing ? ["dead", next, "edit"] : ["dead", next]);
  };

/** Says what became of a letter that is on its way, and shows it as it is then. */
function useOutcome(letter: LetterView | null, refresh: () => void): void {
  const replay = letter?.state === "replaying" ? letter.replays.at(-1) : undefined;
  useEffect(() => {
    if (replay === undefined) return;
    return followRun(replay.run_id, (run) => {
      if (hasEnded(run.status)) refresh();
    });
  }, [replay?.run_id, letter?.replay_number]);
  const told = useRef<number | null>(null);
  useEffect(() => {
    if (letter === null) return;
    const decided = letter.replays.filter((each) => each.outcome !== null).length;
    if (told.current !== null && decided > told.current)
      say(letter.state === "open" ? `Replay ${letter.replay_number} was refused again: the letter is open` : `Replay ${letter.replay_number}: ${letter.state}`);
    told.current = decided;
  }, [letter]);
}

interface BarProps {
  readonly letter: LetterView;
  readonly body: Body | null;
  readonly editing: boolean;
  readonly onAct: (verb: Verb) => void;
  readonly onEdit: () => void;
  readonly onStep: (by: number) => void;
}

function Bar({ letter, body, editing, onAct, onEdit, onStep }: BarProps): VNode {
  const order = letterOrder.value;
  const at = order.indexOf(letter.dead_letter_id);
  const editable = isEditable(letter, body);
  return (
    <div class="bar">
      {at >= 0 && (
        <span>
          <button aria-label="Letter before" disabled={at === 0} onClick={() => onStep(-1)}>
            ‹
          </button>{" "}
          {count(at + 1)} of {count(order.length)}{" "}
          <button aria-label="Next letter" disabled={at === order.length - 1} onClick={() => onStep(1)}>
            ›
          </button>
        </span>
      )}
      <State of={letter.state} /> <span>{bytes(letter.bytes)}</span>
      <Act onAct={() => onAct("Replay")} scope="ops:write" disabled={letter.state !== "open"} why={`it is ${letter.state}`} hint="r">
        Replay…
      </Act>
      <Act onAct={onEdit} scope="ops:write" disabled={!editable || editing} why={editing ? "it is being edited" : "it cannot be edited"} hint="e">
        Edit
      </Act>
      <Act onAct={() => onAct("Discard")} scope="ops:write" disabled={!canEdit(letter)} why={`it is ${letter.state}`} hint="d">
        Discard…
      </Act>
      <a href={href(["story"], { id: letter.dead_letter_id })}>Story</a>
      {body && <button onClick={() => void download(letter, body)}>Download</button>}
      <button onClick={copyLink}>
        Copy link <kbd>y</kbd>
      </button>
    </div>
  );
}

/** Where the error's paths stand in the shown text. */
function faultsIn(letter: LetterView, text: string | null): readonly Fault[] {
  return text === null ? [] : placed(letter.error.details ?? [], text);
}

function Why({ letter, body }: { letter: LetterView; body: Body | null }): VNode {
  const text = body?.text === null || body === null ? null : (formatted(body.text) ?? body.text);
  const faults = useMemo(() => {
    const found = text === null ? (letter.error.details ?? []).map((detail) => ({ ...detail, offset: 0 })) : faultsIn(letter, text);
    const lines = linesOf(text ?? "", found.map(({ offset }) => offset));
    return found.map((fault, at) => ({ ...fault, line: lines[at] }));
  }, [letter, text]);
  return (
    <>
      <ProblemView problem={{ ...letter.error, details: [] }} live={false} />
      <ul class="faults">
        {faults.map((fault) => (
          <li>
            <code>{visible(fault.path)}</code> {visible(fault.message)}
            {text !== null && fault.path !== "" && <span class="soft"> line {fault.line}</span>}
          </li>
        ))}
      </ul>
    </>
  );
}

function Origin({ letter }: { letter: LetterView }): VNode {
  const { origin } = letter;
  const redacted = Object.values(origin.headers).filter((value) => value === "redacted").length;
  return (
    <>
      <h2>Origin</h2>
      <dl>
        <dt>stream</dt>
        <dd>
          <Text of={origin.stream} /> #{origin.sequence}, delivered {count(origin.delivered)}
        </dd>
        <dt>subject</dt>
        <dd>
          <Text of={origin.subject} />
        </dd>
        <dt>arrived</dt>
        <dd>
          <Instant at={origin.received_at} />
        </dd>
        <dt>refused</dt>
        <dd>
          <Instant at={letter.received_at} />
        </dd>
        <dt>producer</dt>
        <dd>
          <Text of={letter.producer ?? "unknown"} />
        </dd>
        <dt>message</dt>
        <dd>
          <Id of={letter.message_id} />
        </dd>
        {letter.trace_id && (
          <>
            <dt>trace</dt>
            <dd>
              <a href={href(["story"], { id: letter.trace_id })}>
                <Id of={letter.trace_id} />
              </a>
            </dd>
          </>
        )}
        {Object.entries(origin.headers).map(([name, value]) => (
          <>
            <dt>
              <Text of={name} />
            </dt>
            <dd>
              <Text of={String(value)} />
            </dd>
          </>
        ))}
      </dl>
      {redacted > 0 && <p class="soft">{plural(redacted, "header")} redacted</p>}
    </>
  );
}

function Reading({ letter, body }: { letter: LetterView; body: Body }): VNode {
  const [raw, setRaw] = useState(false);
  const text = body.text === null ? null : raw ? body.text : (formatted(body.text) ?? body.text);
  return (
    <>
      {body.text !== null && (
        <p class="bar">
          <label>
            <input type="checkbox" checked={raw} onChange={() => setRaw(!raw)} /> raw
          </label>
        </p>
      )}
      <BodyView letter={letter} body={body} raw={raw} faults={faultsIn(letter, text)} />
    </>
  );
}
