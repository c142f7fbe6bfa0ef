/** What workers made of a job: the instruction in its versions, the transcript, the storyboard. */

import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Instruction, Job, Page } from "../../link/views.ts";
import { lineDifference } from "../../model/json/difference.ts";
import { count, httpsUrl, visible, visibleLines } from "../../model/text.ts";
import { milliseconds } from "../../model/time.ts";
import { useAnswer, useList, type Asked } from "../lists/answers.ts";
import { DifferenceView } from "../difference.tsx";
import { ProblemView } from "../problem.tsx";
import { Instant } from "../time.tsx";
import { State, Text } from "../words.tsx";

export function Blocks({ blocks }: { blocks: Instruction["blocks"] }): VNode {
  return (
    <ol class="blocks">
      {blocks.map((block) => (
        <li>
          <span class="soft">{visible(block.type)}</span> {visibleLines(block.text)}
        </li>
      ))}
    </ol>
  );
}

const textOf = (document_: Instruction): string => document_.blocks.map((block) => `${block.type}: ${block.text}`).join("\n");

/** The newest version comes with the job; another one, and what is compared, are asked for here. */
export function InstructionTab({ job, newest }: { job: Job; newest: Asked<Instruction> }): VNode {
  const [version, setVersion] = useState<number | null>(null);
  const [other, setOther] = useState<number | null>(null);
  const id = job.instruction_id;
  const older = useAnswer<Instruction, "instruction.get">(
    "instruction.get",
    useMemo(() => (id && version !== null ? { instruction_id: id, version } : null), [id, version]),
  );
  const shown = version === null ? newest : older;
  const compared = useAnswer<Instruction, "instruction.get">(
    "instruction.get",
    useMemo(() => (id && other !== null ? { instruction_id: id, version: other } : null), [id, other]),
  );
  if (!id) return <p>There is no instruction yet.</p>;
  const found = shown.result;
  const last = Math.max(found?.latest_version ?? 0, newest.result?.version ?? 0);
  const versions = Array.from({ length: Math.min(last, 200) }, (_, at) => last - at);
  return (
    <section aria-label="Instruction">
      {shown.problem && <ProblemView problem={shown.problem} live={false} />}
      {found && (
        <>
          <p class="bar">
            <b>
              Instruction v{found.version}
              {found.version === last ? ", the newest" : ` of ${last}`}
            </b>
            <State of={found.validation_status} /> <span>by {visible(found.created_by)}</span> <Instant at={found.created_at} />
            <label>
              version{" "}
              <select value={String(found.version)} onChange={(event) => setVersion(Number(event.currentTarget.value))}>
                {versions.map((each) => (
                  <option value={String(each)}>v{each}</option>
                ))}
              </select>
            </label>
            <label>
              compare{" "}
              <select value={String(other ?? "")} onChange={(event) => setOther(event.currentTarget.value === "" ? null : Number(event.currentTarget.value))}>
                <option value="">nothing</option>
                {versions.map((each) => (
                  <option value={String(each)}>v{each}</option>
                ))}
              </select>
            </label>
          </p>
          {found.issues.map((issue) => (
            <p class="warned">
              {visible(issue.code)}: {visible(issue.message)}
            </p>
          ))}
          {other !== null && compared.result ? (
            <DifferenceView lines={lineDifference(textOf(compared.result), textOf(found))} />
          ) : (
            <Blocks blocks={found.blocks} />
          )}
        </>
      )}
    </section>
  );
}

interface Segment {
  readonly segment: number;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly text: string;
}

export function TranscriptTab({ job }: { job: Job }): VNode {
  const segments = useList<Segment, "job.transcript">("job.transcript", useMemo(() => ({ job_id: job.job_id, limit: 200 }), [job.job_id, job.status]));
  return (
    <section aria-label="Transcript">
      {segments.problem && <ProblemView problem={segments.problem} live={false} />}
      <ol class="steps">
        {segments.rows.map((segment) => (
          <li>
            <span>
              {milliseconds(segment.start_ms)} – {milliseconds(segment.end_ms)}
            </span>
            <span class="soft">#{count(segment.segment)}</span>
            <span>{visible(segment.text)}</span>
          </li>
        ))}
      </ol>
      {!segments.complete && segments.rows.length > 0 && <button onClick={segments.more}>More</button>}
    </section>
  );
}

interface Scene {
  readonly scene: number;
  readonly text: string;
  readonly duration_s: number;
  readonly image_url?: string | null;
}

export function StoryboardTab({ job }: { job: Job }): VNode {
  const scenes = useAnswer<Page<Scene>, "job.storyboard">("job.storyboard", useMemo(() => ({ job_id: job.job_id }), [job.job_id, job.status]));
  return (
    <section aria-label="Storyboard">
      {scenes.problem && <ProblemView problem={scenes.problem} live={false} />}
      <ol class="steps">
        {scenes.result?.items.map((scene) => {
          const link = httpsUrl(scene.image_url);
          return (
            <li>
              <span>scene {scene.scene}</span>
              <span class="soft">{scene.duration_s} s</span>
              <span>
                {visible(scene.text)}{" "}
                {link ? (
                  <a href={link} rel="noopener noreferrer" target="_blank">
                    picture
                  </a>
                ) : (
                  scene.image_url && <Text of={scene.image_url} />
                )}
              </span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}
