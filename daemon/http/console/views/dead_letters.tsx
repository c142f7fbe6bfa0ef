/** Dead letters: groups or a list, narrowed by filters; what is selected is acted on at the foot. */

import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask } from "../link/ask.ts";
import type { PayloadOf } from "../link/commands.ts";
import { common } from "../link/pulse.ts";
import type { LetterGroup, LetterLine, Page } from "../link/views.ts";
import { groupTerms, LETTER_KEYS, type GroupKey, letterPayload, letterQuery, letterTerms, narrowed, type Payload, type Term, type Terms } from "../model/lists/filters.ts";
import { href } from "../model/route.ts";
import { EVERYTHING, NOTHING, isNothing, isSelected, selectedCount, type Selection } from "../model/lists/selection.ts";
import { bytes, count, plural, visible } from "../model/text.ts";
import { instantOf } from "../model/time.ts";
import { Act } from "../parts/act.tsx";
import { MOST_ROWS, useList, useTenSeconds } from "../parts/lists/answers.ts";
import { BulkDialog, type Target } from "../parts/letters/bulk_dialog.tsx";
import { useAbove } from "../parts/letters/letters_above.ts";
import { FilterBar } from "../parts/lists/filter_bar.tsx";
import { GroupHistory } from "../parts/letters/group_history.tsx";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { Jump } from "../parts/lists/jump.tsx";
import { useKeys } from "../parts/shell/keys.ts";
import { say } from "../parts/shell/outcome.tsx";
import { now } from "../parts/shell/preferences.ts";
import { ProblemView } from "../parts/problem.tsx";
import { go, replaceQuery, route, setQuery } from "../parts/shell/router.ts";
import { Tabs } from "../parts/tabs.tsx";
import { Age, Instant } from "../parts/time.tsx";
import { Id, State, Text } from "../parts/words.tsx";

/** The list that the person came from, for stepping from letter to letter. */
export const letterOrder = signal<readonly string[]>([]);

const GROUP_LIMIT = 500;
const LIST_LIMIT = 200;

export function DeadLetters(): VNode {
  const query = route.value.query;
  const terms = letterTerms(query);
  const asList = query.get("view") === "list";
  const change = (next: Terms): void => replaceQuery(letterQuery(query, next));
  const key = `${asList} ${JSON.stringify(terms)}`;
  const [groups, offer] = useState<readonly GroupKey[]>([]);
  return (
    <>
      <h1>Dead letters</h1>
      <div class="bar">
        <Tabs
          label="Dead letters as"
          names={["Groups", "List"]}
          chosen={asList ? "List" : "Groups"}
          onChoose={(name) => setQuery({ view: name === "List" ? "list" : null })}
        />
        <FilterBar terms={terms} keys={Object.keys(LETTER_KEYS)} onChange={change} suggestions={suggested(groups)} />
      </div>
      {asList ? <List key={key} terms={terms} onGroups={offer} /> : <Groups key={key} terms={terms} onGroups={offer} />}
    </>
  );
}

interface PartProps {
  readonly terms: Terms;
  /** Hears what is worth offering as filters. */
  readonly onGroups: (groups: readonly GroupKey[]) => void;
}

/** The fields that terms mean, and what takes `since:1h` to be of now, as an act does: whether that made a difference. */
function useFields(terms: Terms): [Payload, () => boolean] {
  const [at, setAt] = useState(() => now.peek());
  const fields = useMemo(() => letterPayload(terms, at), [at]);
  const renewed = (): boolean => {
    const differs = JSON.stringify(letterPayload(terms, now.peek())) !== JSON.stringify(fields);
    if (differs) setAt(now.peek());
    return differs;
  };
  return [fields, renewed];
}

const groupKey = (group: LetterGroup): string => JSON.stringify([group.kind, group.code, group.paths, group.producer]);

const GROUP_COLUMNS: readonly Column<LetterGroup>[] = [
  { name: "count", width: "6rem", numeric: true, cell: (group) => count(group.count) },
  { name: "kind", width: "minmax(8rem, 1fr)", cell: (group) => <Text of={group.kind} /> },
  { name: "code", width: "minmax(17rem, 1.2fr)", cell: (group) => <Text of={group.code} /> },
  { name: "where", width: "minmax(8rem, 2fr)", cell: (group) => <Text of={group.paths.join(", ")} /> },
  { name: "producer", width: "minmax(6rem, 1fr)", cell: (group) => <Text of={group.producer ?? "unknown"} /> },
  { name: "first", width: "9rem", cell: (group) => <Instant at={group.first_seen} /> },
  { name: "last", width: "8rem", cell: (group) => <Age at={group.last_seen} /> },
  { name: "last 24 h", width: "6rem", cell: (group) => <GroupHistory group={group} /> },
];

function Groups({ terms, onGroups }: PartProps): VNode {
  const [fields, renewed] = useFields(terms);
  const payload = useMemo(() => ({ action: "groups", ...fields, limit: GROUP_LIMIT }), [fields]);
  const groups = useList<LetterGroup, "dead-letters">("dead-letters", payload);
  const refresh = (): void => void (renewed() || groups.refresh());
  const [selection, setSelection] = useState<Selection>(NOTHING);
  const letters = groups.rows.reduce((sum, group) => sum + group.count, 0);
  const chosen = groups.rows.filter((group) => isSelected(selection, groupKey(group)));
  const chosenLetters = chosen.reduce((sum, group) => sum + group.count, 0);
  const all = selection.of === "all" && selection.except.size === 0;
  const targets = (): Target[] =>
    all
      ? [{ terms, known: groups.complete ? letters : null }]
      : chosen.map((group) => ({ terms: narrowed(terms, group), known: group.count }));
  useEffect(() => onGroups(groups.rows), [groups.rows]);
  const newer = useNewer(groups.asOf, () => newGroups(payload, letters));
  const open = (group: LetterGroup): void => {
    const narrow = letterQuery(new URLSearchParams(), narrowed(terms, group));
    narrow.set("view", "list");
    go(["dead"], narrow);
  };
  return (
    <>
      <div class="bar">
        <Newer count={newer} onShow={refresh} loading={groups.loading} />
      </div>
      {groups.problem && <ProblemView problem={groups.problem} />}
      <Grid
        main
        name="Groups"
        rows={groups.rows}
        columns={GROUP_COLUMNS}
        keyOf={groupKey}
        onOpen={open}
        selection={selection}
        onSelect={setSelection}
        onEnd={groups.more}
        complete={groups.complete}
        loading={groups.loading}
        empty={groups.loading ? "…" : groups.problem ? "" : "No dead letters match."}
      />
      <p class="summary">
        {plural(groups.rows.length, "group")}, {plural(letters, "letter")}: {groups.complete ? "all are shown" : "more follow below"}
      </p>
      <Foot
        words={`${plural(chosen.length, "group")}, ${plural(chosenLetters, "letter")} selected`}
        selection={selection}
        targets={targets}
        onSelection={setSelection}
        total={letters}
        loading={groups.loading && groups.rows.length === 0}
        onActed={refresh}
        {...(chosen.length === 1 && chosen[0] ? { onOpen: () => open(chosen[0] as LetterGroup) } : {})}
      />
    </>
  );
}

function suggested(groups: readonly GroupKey[]): Terms {
  const seen = new Map<string, Term>();
  for (const group of groups) for (const term of groupTerms(group)) seen.set(`${term.key}:${term.value}`, term);
  for (const state of ["open", "replaying", "resolved", "discarded"]) seen.set(`state:${state}`, { key: "state", value: state });
  for (const since of ["1h", "24h", "7d"]) seen.set(`since:${since}`, { key: "since", value: since });
  return [...seen.values()];
}

const LETTER_COLUMNS: readonly Column<LetterLine>[] = [
  { name: "refused", width: "9rem", cell: (letter) => <Instant at={letter.received_at} /> },
  { name: "state", width: "7rem", cell: (letter) => <State of={letter.state} /> },
  { name: "kind", width: "minmax(8rem, 1fr)", cell: (letter) => <Text of={letter.kind} /> },
  { name: "code", width: "minmax(11rem, 1.2fr)", cell: (letter) => <Text of={letter.code} /> },
  { name: "where", width: "minmax(8rem, 1.5fr)", cell: (letter) => <Text of={letter.paths.join(", ") || letter.message} /> },
  { name: "producer", width: "minmax(6rem, 1fr)", cell: (letter) => <Text of={letter.producer ?? "unknown"} /> },
  { name: "message", width: "minmax(7rem, 1fr)", cell: (letter) => <Id of={letter.message_id} /> },
  { name: "replays", width: "4.5rem", numeric: true, cell: (letter) => count(letter.replay_number) },
  { name: "size", width: "5.5rem", numeric: true, cell: (letter) => bytes(letter.bytes) },
];

const letterKey = (letter: LetterLine): string => letter.dead_letter_id;

function List({ terms, onGroups }: PartProps): VNode {
  const [fields, renewed] = useFields(terms);
  const payload = useMemo(() => ({ action: "list", ...fields, limit: LIST_LIMIT }), [fields]);
  // Where the list begins is no filter: what is selected, counted and acted on is the same.
  const from = instantOf(route.value.query.get("at") ?? "", now.peek());
  const begun = useMemo(() => begunAt(payload, from), [payload, from]);
  const letters = useList<LetterLine, "dead-letters">("dead-letters", begun);
  const refresh = (): void => void (renewed() || letters.refresh());
  const above = useAbove(payload, begun === payload ? null : from, letters.first);
  const rows = useMemo(() => (above.rows.length ? [...above.rows, ...letters.rows] : letters.rows), [above.rows, letters.rows]);
  const later = above.from !== null && letters.first !== null && rows.length < MOST_ROWS ? above.more : undefined;
  const [selection, setSelection] = useState<Selection>(NOTHING);
  const [total, setTotal] = useState<number | null>(null);
  useEffect(() => {
    if (letters.asOf === 0) return;
    if (from === null && letters.first?.next_cursor === null) return setTotal(letters.first.items.length);
    void totalOf(payload).then(setTotal);
  }, [letters.asOf]);
  // Before a key opens one of them.
  useLayoutEffect(() => {
    letterOrder.value = rows.map(letterKey);
  }, [rows]);
  useEffect(() => onGroups(letters.rows.slice(0, LIST_LIMIT)), [letters.first]);
  const newest = letters.first?.items[0]?.received_at ?? null;
  const newer = useNewer(letters.asOf, () => (from === null ? newLetters(payload, newest) : Promise.resolve(0)));
  const targets = (): Target[] =>
    selection.of === "some"
      ? [{ terms, ids: [...selection.keys], known: selection.keys.size }]
      : [{ terms, except: [...selection.except], known: selectedCount(selection, total) }];
  const chosen = selectedCount(selection, total);
  return (
    <>
      <div class="bar">
        <Newer count={newer} onShow={refresh} loading={letters.loading} />
        <Jump from={from} onJump={(at) => setQuery({ at })} onLater={later} />
      </div>
      {letters.problem && <ProblemView problem={letters.problem} />}
      <Grid
        key={from}
        main
        name="Dead letters"
        rows={rows}
        above={above.rows.length}
        onStart={later}
        columns={LETTER_COLUMNS}
        keyOf={letterKey}
        onOpen={(letter) => go(["dead", letter.dead_letter_id])}
        selection={selection}
        onSelect={setSelection}
        onEnd={letters.more}
        complete={letters.complete}
        loading={letters.loading}
        empty={letters.loading ? "…" : letters.problem ? "" : from === null ? "No dead letters match." : "None that match is older."}
      />
      <p class="summary">
        {total === null ? `${plural(rows.length, "letter")} loaded` : `${plural(total, "letter")}`}
        {above.from !== null && (
          <>
            , the list begins before <Instant at={above.from} />
          </>
        )}
        {!letters.complete ? ": more come as you scroll" : above.from === null ? ": all are shown" : ""}
      </p>
      <Foot
        words={chosen === null ? "all that match are selected" : `${plural(chosen, "letter")} selected`}
        selection={selection}
        targets={targets}
        onSelection={setSelection}
        total={total}
        loading={letters.loading && letters.rows.length === 0}
        onActed={refresh}
      />
    </>
  );
}

/** The same list from an instant on: newer ones are left out. */
function begunAt(payload: PayloadOf<"dead-letters">, from: string | null): PayloadOf<"dead-letters"> {
  const until = typeof payload.until === "string" ? Date.parse(payload.until) : Infinity;
  return from === null || until <= Date.parse(from) ? payload : { ...payload, until: from };
}

/** How many letters match, by the groups, which count them. */
async function totalOf(payload: object): Promise<number | null> {
  const answer = await ask<Page<LetterGroup>, "dead-letters">("dead-letters", {
    ...payload,
    // A list without states shows all of them; groups without states only what is open.
    states: (payload as { states?: string[] }).states ?? ["open", "replaying", "resolved", "discarded"],
    action: "groups",
    limit: 500,
  });
  if (!answer.ok || answer.result.next_cursor !== null) return null;
  return answer.result.items.reduce((sum, group) => sum + group.count, 0);
}

async function newGroups(payload: object, known: number): Promise<number> {
  const answer = await ask<Page<LetterGroup>, "dead-letters">("dead-letters", payload);
  return answer.ok ? Math.max(0, answer.result.items.reduce((sum, group) => sum + group.count, 0) - known) : 0;
}

async function newLetters(payload: object, newest: string | null): Promise<number> {
  const answer = await ask<Page<LetterLine>, "dead-letters">("dead-letters", payload);
  if (!answer.ok) return 0;
  return answer.result.items.filter((letter) => newest === null || letter.received_at > newest).length;
}

/** How many letters there are that the list does not show: looked for when the pulse tells of more, never on a timer. */
function useNewer(asOf: number, look: () => Promise<number>): number {
  const [newer, setNewer] = useState(0);
  const latest = useRef(asOf);
  latest.current = asOf;
  useEffect(() => setNewer(0), [asOf]);
  useTenSeconds(() => common.value?.dead_letters_open, () => {
    const asked = latest.current;
    if (asked > 0) void look().then((found) => asked === latest.current && setNewer(found));
  });
  return newer;
}

function Newer({ count: number, onShow, loading }: { count: number; onShow: () => void; loading: boolean }): VNode {
  return (
    <button class="pill" onClick={onShow} disabled={loading}>
      {number > 0 ? `${count(number)} newer ↻` : "Refresh ↻"}
    </button>
  );
}

interface FootProps {
  readonly words: string;
  readonly selection: Selection;
  readonly targets: () => Target[];
  readonly onSelection: (selection: Selection) => void;
  readonly total: number | null;
  /** Keys wait for what they act on while it is so. */
  readonly loading: boolean;
  readonly onActed: () => void;
  readonly onOpen?: () => void;
}

function Foot({ words, selection, targets, onSelection, total, loading, onActed, onOpen }: FootProps): VNode {
  const [open, setOpen] = useState<{ verb: "Replay" | "Discard"; targets: Target[] } | null>(null);
  const nothing = isNothing(selection);
  const act = (verb: "Replay" | "Discard"): void => {
    if (!nothing) setOpen({ verb, targets: targets() });
  };
  const copy = (): void => void navigator.clipboard?.writeText(location.href).then(() => say("Link copied"));
  useKeys(
    [
      { key: "r", help: "replay what is selected", run: () => act("Replay") },
      { key: "d", help: "discard what is selected", run: () => act("Discard") },
      { key: "a", help: "select all that match", run: () => onSelection(EVERYTHING) },
    ],
    loading,
  );
  useKeys([
    { key: "y", help: "copy the link", run: copy },
    { key: "Escape", help: "select nothing", run: () => onSelection(NOTHING) },
  ]);
  return (
    <div class="foot" role="group" aria-label="Selection">
      <span>{nothing ? "nothing is selected" : words}</span>
      <Act onAct={() => act("Replay")} scope="ops:write" disabled={nothing} why="select something" hint="r">
        Replay…
      </Act>
      <Act onAct={() => act("Discard")} scope="ops:write" disabled={nothing} why="select something" hint="d">
        Discard…
      </Act>
      {onOpen && (
        <button onClick={onOpen}>
          Open <kbd>⏎</kbd>
        </button>
      )}
      <button onClick={() => onSelection(EVERYTHING)}>
        Select all{total === null ? "" : ` ${count(total)}`} that match <kbd>a</kbd>
      </button>
      {!nothing && <button onClick={() => onSelection(NOTHING)}>Select nothing</button>}
      <button onClick={copy}>
        Copy link <kbd>y</kbd>
      </button>
      {open && (
        <BulkDialog
          verb={open.verb}
          targets={open.targets}
          onClose={(acted) => {
            setOpen(null);
            if (acted) {
              onSelection(NOTHING);
              onActed();
            }
          }}
        />
      )}
    </div>
  );
}

export const letterHref = (id: string): string => href(["dead", id]);
export const saidOf = (letter: LetterLine): string => visible(`${letter.kind} ${letter.message_id ?? letter.dead_letter_id}`);
