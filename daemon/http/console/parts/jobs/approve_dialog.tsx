/** Approving names the version that was read: a newer draft that came meanwhile is refused, and shown. */

import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import { ask, newMessageId } from "../../link/ask.ts";
import type { Instruction, Job } from "../../link/views.ts";
import type { Problem } from "../../model/errors.ts";
import { Act } from "../act.tsx";
import { useAnswer } from "../lists/answers.ts";
import { Dialog } from "../dialog.tsx";
import { Blocks } from "./job_documents.tsx";
import { say } from "../shell/outcome.tsx";
import { ProblemView } from "../problem.tsx";

export function ApproveDialog({ job, onClose }: { job: Job; onClose: (acted: boolean) => void }): VNode {
  const payload = useMemo(() => (job.instruction_id ? { instruction_id: job.instruction_id } : null), [job.instruction_id]);
  const asked = useAnswer<Instruction, "instruction.get">("instruction.get", payload);
  const messageIds = useMemo(() => new Map<string, string>(), []);
  const [note, setNote] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const draft = asked.result;
  const approve = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (draft === null || busy) return;
    const sent = { job_id: job.job_id, version: draft.version, ...(note.trim() ? { note } : {}) };
    const key = JSON.stringify(sent);
    const messageId = messageIds.get(key) ?? newMessageId();
    messageIds.set(key, messageId);
    setBusy(true);
    const answer = await ask<Job, "job.approve">("job.approve", sent, { messageId, onSlow: say });
    setBusy(false);
    if (!answer.ok) return setProblem(answer.problem);
    say(`Approved version ${draft.version}`);
    onClose(true);
  };
  const stale = problem?.code === "VERSION_CONFLICT";
  return (
    <Dialog title="Approve" about={draft ? `version ${draft.version}` : ""} onClose={() => onClose(false)}>
      {asked.problem && <ProblemView problem={asked.problem} />}
      {payload === null && <p>There is no instruction yet: nothing can be approved.</p>}
      {draft && <Blocks blocks={draft.blocks} />}
      {problem && <ProblemView problem={problem} />}
      {stale && (
        <button
          onClick={() => {
            setProblem(null);
            asked.refresh();
          }}
        >
          Show the newest version
        </button>
      )}
      <form onSubmit={(event) => void approve(event)}>
        <label>
          Note <input type="text" value={note} maxLength={2_000} onInput={(event) => setNote(event.currentTarget.value)} />
        </label>
        <footer>
          <button type="button" onClick={() => onClose(false)}>
            Cancel
          </button>
          <Act submit kind="main" onAct={() => undefined} scope="jobs:write" disabled={draft === null || busy || stale} why="read the draft first">
            Approve v{draft?.version ?? "…"}
          </Act>
        </footer>
      </form>
    </Dialog>
  );
}
