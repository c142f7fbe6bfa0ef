/** Agents: who was heard, in what state; kill, spawn, another model. An agent answers within a minute or not at all. */

import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import { ask, newMessageId } from "../link/ask.ts";
import type { Agent } from "../link/views.ts";
import type { Problem } from "../model/errors.ts";
import { href } from "../model/route.ts";
import { count, visible } from "../model/text.ts";
import { Act } from "../parts/act.tsx";
import { useAnswer } from "../parts/lists/answers.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Grid, type Column } from "../parts/lists/grid.tsx";
import { HealingTable } from "../parts/healing.tsx";
import { say } from "../parts/shell/outcome.tsx";
import { ProblemView } from "../parts/problem.tsx";
import { go } from "../parts/shell/router.ts";
import { Age } from "../parts/time.tsx";
import { Details, Id, State, Text } from "../parts/words.tsx";

interface Status {
  readonly agents: readonly Agent[];
  readonly daemons: readonly unknown[];
  readonly self_heal: Readonly<Record<string, unknown>> | null;
}

type Action = "kill" | "spawn" | "model";
const TITLES: Readonly<Record<Action, string>> = { kill: "Kill", spawn: "Spawn", model: "Model" };

export function Agents(): VNode {
  const status = useAnswer<Status, "system-status">("system-status", useMemo(() => ({}), []));
  const [open, setOpen] = useState<{ action: Action; agent: string; session: string | null } | null>(null);
  const columns: readonly Column<Agent>[] = [
    { name: "agent", width: "minmax(8rem, 1.5fr)", cell: (agent) => <Text of={agent.agent} /> },
    { name: "state", width: "8rem", cell: (agent) => <State of={agent.state} /> },
    { name: "model", width: "minmax(6rem, 1fr)", cell: (agent) => <Text of={agent.model} /> },
    {
      name: "session",
      width: "minmax(8rem, 1fr)",
      cell: (agent) =>
        agent.session_id ? (
          <a href={href(["session", agent.session_id])} tabIndex={-1}>
            <Id of={agent.session_id} />
          </a>
        ) : (
          "–"
        ),
    },
    { name: "heartbeat", width: "8rem", cell: (agent) => <Age at={agent.last_heartbeat_at} /> },
    {
      name: "acts",
      width: "12rem",
      cell: (agent) => (
        <>
          <Act onAct={() => setOpen({ action: "kill", agent: agent.agent, session: agent.session_id })} scope="ops:write">
            Kill…
          </Act>{" "}
          <Act onAct={() => setOpen({ action: "model", agent: agent.agent, session: null })} scope="ops:write">
            Model…
          </Act>
        </>
      ),
    },
  ];
  const agents = status.result?.agents ?? [];
  return (
    <>
      <h1>Agents</h1>
      <p class="bar">
        {["running", "idle", "stale", "stopped"].map((state) => (
          <span>
            <State of={state} /> {count(agents.filter((agent) => agent.state === state).length)}
          </span>
        ))}
        <Act onAct={() => setOpen({ action: "spawn", agent: "", session: null })} scope="ops:write">
          Spawn…
        </Act>
        <button class="pill" onClick={status.refresh} disabled={status.loading}>
          Refresh ↻
        </button>
      </p>
      {status.problem && <ProblemView problem={status.problem} />}
      <Grid
        main
        name="Agents"
        rows={agents}
        columns={columns}
        keyOf={(agent) => agent.agent}
        onOpen={(agent) => (agent.session_id ? go(["session", agent.session_id]) : undefined)}
        loading={status.loading}
        empty={status.loading ? "…" : status.problem ? "" : "No agent was heard yet."}
      />
      {status.result && (
        <>
          <h2>Daemons</h2>
          <ul class="plainlist">
            {status.result.daemons.map((daemon) => (
              <li>
                <Details of={daemon} />
              </li>
            ))}
          </ul>
          <h2>Last round of healing</h2>
          <Healed round={status.result.self_heal} />
        </>
      )}
      {open && <ControlDialog {...open} onClose={() => setOpen(null)} />}
    </>
  );
}

/** When it was, and what was found: of what kind, in a table. */
function Healed({ round }: { round: Status["self_heal"] }): VNode {
  if (round === null) return <p>There was none yet.</p>;
  const { by, ...rest } = round;
  return (
    <>
      <p>
        <Details of={rest} />
      </p>
      <HealingTable by={by} />
    </>
  );
}

interface ControlProps {
  readonly action: Action;
  readonly agent: string;
  readonly session: string | null;
  readonly onClose: () => void;
}

function ControlDialog({ action, agent, session, onClose }: ControlProps): VNode {
  const messageId = useMemo(() => newMessageId(), []);
  const [name, setName] = useState(agent);
  const [model, setModel] = useState("");
  const [more, setMore] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const ready = name.trim() !== "" && (action !== "model" || model.trim() !== "");
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!ready) return;
    const payload = {
      agent: name.trim(),
      action,
      ...(action === "kill" && session ? { session_id: session } : {}),
      ...(action === "kill" && more.trim() ? { reason: more } : {}),
      ...(action === "spawn" && more.trim() ? { task: more } : {}),
      ...(action !== "kill" && model.trim() ? { model: model.trim() } : {}),
    };
    const answer = await ask<{ run_id: string }, "control">("control", payload, { messageId, onSlow: say });
    if (!answer.ok) return setProblem(answer.problem);
    say(`${TITLES[action]} ${name}: sent; it is void after a minute`);
    onClose();
    go(["run", answer.result.run_id]);
  };
  return (
    <Dialog title={TITLES[action]} about={visible(agent)} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        {action === "spawn" && (
          <label>
            Agent <input type="text" value={name} maxLength={200} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
        )}
        {action === "kill" && session && <p>Its session {visible(session)} ends.</p>}
        {action !== "kill" && (
          <label>
            Model <input type="text" value={model} maxLength={200} onInput={(event) => setModel(event.currentTarget.value)} />
          </label>
        )}
        {action !== "model" && (
          <label>
            {action === "kill" ? "Reason" : "Task"} <input type="text" value={more} maxLength={2_000} onInput={(event) => setMore(event.currentTarget.value)} />
          </label>
        )}
        {problem && <ProblemView problem={problem} />}
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <Act submit kind={action === "kill" ? "danger" : "main"} onAct={() => undefined} scope="ops:write" disabled={!ready} why="say which">
            {TITLES[action]}
          </Act>
        </footer>
      </form>
    </Dialog>
  );
}
