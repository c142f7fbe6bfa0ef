/** An error: code, sentence, what to do, and its trace as a link to the story. */

import type { VNode } from "preact";
import { whatToDo, type Problem } from "../model/errors.ts";
import { href } from "../model/route.ts";
import { visible } from "../model/text.ts";

export const problemLine = (problem: Problem): string => `${problem.code}: ${visible(problem.message)}`;

export function ProblemView({ problem, live = true }: { problem: Problem; live?: boolean }): VNode {
  return (
    <div class="problem" {...(live ? { role: "alert" } : {})}>
      <p>
        <b>{visible(problem.code)}</b>: {visible(problem.message)}. {whatToDo(problem.code)}{" "}
        {problem.trace_id && (
          <a href={href(["story"], { id: problem.trace_id })} class="mono">
            trace {visible(problem.trace_id)}
          </a>
        )}
      </p>
      {(problem.details?.length ?? 0) > 0 && (
        <ul>
          {problem.details?.map((detail) => (
            <li>
              <code>{visible(detail.path)}</code> {visible(detail.message)}
              {detail.current_version !== undefined && ` (now version ${detail.current_version})`}
              {detail.current_replay_number !== undefined && ` (now replay ${detail.current_replay_number})`}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
