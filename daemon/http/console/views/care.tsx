/** Care: every dependency, healing (its dry run first), pruning, copies, imports. */

import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import { ask, newMessageId } from "../link/ask.ts";
import type { Health } from "../link/views.ts";
import type { Problem } from "../model/errors.ts";
import { href } from "../model/route.ts";
import { count, visible } from "../model/text.ts";
import { milliseconds } from "../model/time.ts";
import { Act } from "../parts/act.tsx";
import { useAnswer } from "../parts/lists/answers.ts";
import { Dialog } from "../parts/dialog.tsx";
import { HealingTable } from "../parts/healing.tsx";
import { say, sayProblem } from "../parts/shell/outcome.tsx";
import { ProblemView } from "../parts/problem.tsx";
import { useRuns } from "../parts/run_progress.tsx";
import { Instant } from "../parts/time.tsx";
import { State, Value } from "../parts/words.tsx";

export function Care(): VNode {
  const health = useAnswer<Health, "health-check">("health-check", useMemo(() => ({}), []));
  const [runs, setRuns] = useState<readonly string[]>([]);
  const [dialog, setDialog] = useState<"heal" | "import" | null>(null);
  const begin = (command: "prune" | "backup", word: string): void =>
    void ask<{ run_id: string }, "prune" | "backup">(command, {}, { messageId: newMessageId(), onSlow: say }).then((answer) => {
      if (!answer.ok) return sayProblem(answer.problem);
      say(`${word} has begun`);
      setRuns((before) => [answer.result.run_id, ...before]);
    });
  return (
    <>
      <h1>Care</h1>
      <p class="bar">
        <Act onAct={() => setDialog("heal")} scope="ops:write">
          Self-heal
        </Act>
        <Act onAct={() => begin("prune", "Prune")} scope="ops:write">
          Prune
        </Act>
        <Act onAct={() => begin("backup", "Backup")} scope="ops:write">
          Backup
        </Act>
        <Act onAct={() => setDialog("import")} scope="ops:write">
          Import…
        </Act>
        <Act onAct={health.refresh}>Check health</Act>
      </p>
      {runs.length > 0 && <Begun ids={runs} />}
      {health.problem && <ProblemView problem={health.problem} />}
      {health.result && <HealthTable health={health.result} asOf={health.asOf} />}
      {dialog === "heal" && <HealDialog onClose={() => setDialog(null)} />}
      {dialog === "import" && (
        <ImportDialog
          onClose={(run) => {
            setDialog(null);
            if (run) setRuns((before) => [run, ...before]);
          }}
        />
      )}
    </>
  );
}

function Begun({ ids }: { ids: readonly string[] }): VNode {
  const statuses = useRuns(ids, false).value;
  return (
    <ul class="plainlist" aria-label="Begun here">
      {ids.map((id) => {
        const run = statuses.find((each) => each.run_id === id);
        return (
          <li>
            <a href={href(["run", id])}>
              {visible(run?.operation ?? "run")} {visible(id)}
            </a>{" "}
            <State of={run?.status ?? "running"} />
          </li>
        );
      })}
    </ul>
  );
}

function HealthTable({ health, asOf }: { health: Health; asOf: number }): VNode {
  return (
    <>
      <p>
        <span class="big">
          <State of={health.status} />
        </span>{" "}
        as of <Instant at={new Date(asOf).toISOString()} />
      </p>
      <table aria-label="Dependencies">
        <thead>
          <tr>
            <th>dependency</th>
            <th>status</th>
            <th class="numeric">latency</th>
            <th>detail</th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(health.dependencies).map(([name, found]) => (
            <tr>
              <td>{visible(name)}</td>
              <td>
                <State of={found.status} />
              </td>
              <td class="numeric">{milliseconds(found.latency_ms)}</td>
              <td>{typeof found.detail === "string" ? visible(found.detail) : <Value of={found.detail} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

interface Round {
  readonly items_found: number;
  readonly items_republished: number;
  readonly errors: number;
  readonly threshold_s?: number;
  readonly by?: unknown;
}

function HealDialog({ onClose }: { onClose: () => void }): VNode {
  const messageId = useMemo(() => newMessageId(), []);
  const dry = useAnswer<Round, "self-heal">("self-heal", useMemo(() => ({ dry_run: true }), []));
  const [done, setDone] = useState<Round | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const heal = async (): Promise<void> => {
    const answer = await ask<Round, "self-heal">("self-heal", {}, { messageId, onSlow: say });
    if (!answer.ok) return setProblem(answer.problem);
    setDone(answer.result);
    say(`Self-heal: ${count(answer.result.items_republished)} republished`);
  };
  const shown = done ?? dry.result;
  return (
    <Dialog title="Self-heal" about={done ? "what it did" : "dry run: what it would find"} onClose={onClose}>
      {dry.problem && <ProblemView problem={dry.problem} />}
      {shown && (
        <dl>
          <dt>found</dt>
          <dd>{count(shown.items_found)}</dd>
          {done && (
            <>
              <dt>republished</dt>
              <dd>{count(done.items_republished)}</dd>
            </>
          )}
          <dt>errors</dt>
          <dd>{count(shown.errors)}</dd>
        </dl>
      )}
      {shown && <HealingTable by={shown.by} />}
      {problem && <ProblemView problem={problem} />}
      <footer>
        <button onClick={onClose}>{done ? "Close" : "Cancel"}</button>
        {!done && (
          <Act kind="main" onAct={() => void heal()} scope="ops:write" disabled={dry.result === null} why="dry run first">
            Self-heal
          </Act>
        )}
      </footer>
    </Dialog>
  );
}

function ImportDialog({ onClose }: { onClose: (run: string | null) => void }): VNode {
  const messageId = useMemo(() => newMessageId(), []);
  const [kind, setKind] = useState("");
  const [from, setFrom] = useState<"path" | "object">("path");
  const [where, setWhere] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const ready = kind.trim() !== "" && where.trim() !== "";
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!ready) return;
    const payload = { kind: kind.trim(), ...(from === "path" ? { path: where } : { object: where }) };
    const answer = await ask<{ run_id: string }, "import-legacy">("import-legacy", payload, { messageId, onSlow: say });
    if (!answer.ok) return setProblem(answer.problem);
    say("Import has begun");
    onClose(answer.result.run_id);
  };
  return (
    <Dialog title="Import" onClose={() => onClose(null)}>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Kind <input type="text" value={kind} placeholder="session.usage" onInput={(event) => setKind(event.currentTarget.value)} />
        </label>
        <label>
          From{" "}
          <select value={from} onChange={(event) => setFrom(event.currentTarget.value === "object" ? "object" : "path")}>
            <option value="path">a file below imports.dir</option>
            <option value="object">an object of the assets' store</option>
          </select>
        </label>
        <label>
          Name <input type="text" value={where} onInput={(event) => setWhere(event.currentTarget.value)} />
        </label>
        {problem && <ProblemView problem={problem} />}
        <footer>
          <button type="button" onClick={() => onClose(null)}>
            Cancel
          </button>
          <Act submit kind="main" onAct={() => undefined} scope="ops:write" disabled={!ready} why="say what and from where">
            Import
          </Act>
        </footer>
      </form>
    </Dialog>
  );
}
