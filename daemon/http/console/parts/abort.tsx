/** Ends a run of letters early: what is sent is sent, nothing more is. */

import type { VNode } from "preact";
import { ask } from "../link/ask.ts";
import { Act } from "./act.tsx";
import { say, sayProblem } from "./shell/outcome.tsx";

/** Operations that have items and can be aborted. */
export const HAS_ITEMS: ReadonlySet<string> = new Set(["replay-failed", "dead-letters"]);

function abort(ids: readonly string[]): void {
  void Promise.all(ids.map((run_id) => ask("replay-abort", { run_id }, { onSlow: say }))).then((answers) => {
    const failed = answers.find((answer) => !answer.ok);
    if (failed && !failed.ok) sayProblem(failed.problem);
    else say("Aborted: nothing more is sent");
  });
}

export function Abort({ ids, ended = false }: { ids: readonly string[]; ended?: boolean }): VNode {
  return (
    <Act onAct={() => abort(ids)} scope="ops:write" kind="danger" disabled={ended} why="it has ended">
      Abort
    </Act>
  );
}
