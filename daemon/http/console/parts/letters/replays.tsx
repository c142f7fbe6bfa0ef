/** Every replay of a letter: who, when, what was changed, what came of it. */

import type { VNode } from "preact";
import type { Change, Letter } from "../../link/views.ts";
import { href } from "../../model/route.ts";
import { visible } from "../../model/text.ts";
import { problemLine } from "../problem.tsx";
import { Instant } from "../time.tsx";
import { State, Value } from "../words.tsx";

export function Replays({ letter }: { letter: Letter }): VNode | null {
  if (letter.replays.length === 0) return null;
  return (
    <>
      <h2>Replays</h2>
      <ol class="replays">
        {letter.replays.map((replay) => (
          <li value={replay.replay_number}>
            <b>#{replay.replay_number}</b> {visible(replay.principal)} <Instant at={replay.requested_at} />{" "}
            {replay.edited ? "edited" : "as it came"} {replay.outcome ? <State of={replay.outcome} /> : <State of="replaying" />}{" "}
            <a href={href(["run", replay.run_id])}>run</a>
            {replay.reason && <div>reason: {visible(replay.reason)}</div>}
            {replay.error && <div class="soft">{problemLine(replay.error)}</div>}
            {replay.difference?.map((change) => <Difference change={change} />)}
          </li>
        ))}
      </ol>
    </>
  );
}

function Difference({ change }: { change: Change }): VNode {
  return (
    <div class="change">
      <code>{visible(change.path) || "body"}</code> {change.change}
      {change.was !== undefined && (
        <>
          {" "}
          <del>
            <Value of={change.was} />
          </del>
        </>
      )}
      {change.now !== undefined && (
        <>
          {" "}
          <ins>
            <Value of={change.now} />
          </ins>
        </>
      )}
    </div>
  );
}
