/** A body as it came: text with what is invisible made visible, hex where it is no text, the rest by cursor. */

import type { VNode } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { ask } from "../../link/ask.ts";
import type { Letter } from "../../link/views.ts";
import type { Fault } from "../../model/json/exact_json.ts";
import { formatted } from "../../model/json/json_tokens.ts";
import { linesOf } from "../../model/json/schema_paths.ts";
import { bytes, fromBase64, hex, visibleLines } from "../../model/text.ts";

const MOST_SHOWN = 64 * 1024;
const MOST_EDITED = 1024 * 1024;

export interface Body {
  /** The whole body as text; null where it is none, or too large to be edited. */
  readonly text: string | null;
  readonly data: Uint8Array;
  /** Whether `data` is all of it. */
  readonly whole: boolean;
}

function textOf(data: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return null;
  }
}

/** The parts of a letter's body from its first answer on, at most `most` bytes. */
async function rest(letter: Letter, most: number): Promise<Body> {
  const parts = [fromBase64(letter.body)];
  let cursor = letter.next_cursor;
  let size = parts[0]?.length ?? 0;
  while (cursor !== null && size < most) {
    const answer = await ask<Letter, "dead-letters">("dead-letters", { action: "show", dead_letter_id: letter.dead_letter_id, cursor });
    if (!answer.ok) break;
    const part = fromBase64(answer.result.body);
    parts.push(part);
    size += part.length;
    cursor = answer.result.next_cursor;
  }
  const data = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  return { data, text: cursor === null && size <= MOST_EDITED ? textOf(data) : null, whole: cursor === null };
}

/** The body of a letter; null until it is there. */
export function useBody(letter: Letter | null): Body | null {
  const [loaded, setLoaded] = useState<{ of: Letter; body: Body } | null>(null);
  const direct = useMemo<Body | null>(() => {
    if (letter === null || letter.truncated) return null;
    if (letter.body_encoding === "utf-8") return { text: letter.body, data: new TextEncoder().encode(letter.body), whole: true };
    const data = fromBase64(letter.body);
    return { text: textOf(data), data, whole: true };
  }, [letter]);
  useEffect(() => {
    if (letter?.truncated) void rest(letter, letter.bytes <= MOST_EDITED ? Infinity : 1).then((body) => setLoaded({ of: letter, body }));
  }, [letter]);
  return direct ?? (loaded !== null && loaded.of === letter ? loaded.body : null);
}

export async function download(letter: Letter, body: Body): Promise<void> {
  const data = body.whole ? body.data : (await rest(letter, Infinity)).data;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data as BlobPart], { type: "application/octet-stream" }));
  link.download = `${letter.dead_letter_id}.bin`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function BodyView({ letter, body, raw, faults }: { letter: Letter; body: Body; raw: boolean; faults: readonly Fault[] }): VNode {
  const shown = useMemo(() => {
    if (body.text === null) {
      const text = body.whole ? null : textOf(body.data.subarray(0, MOST_SHOWN));
      return text ?? hex(body.data.subarray(0, MOST_SHOWN));
    }
    const text = raw ? body.text : (formatted(body.text) ?? body.text);
    return text.slice(0, MOST_SHOWN);
  }, [body, raw]);
  const lines = new Map<number, string>();
  const numbers = linesOf(shown, faults.map((fault) => fault.offset));
  faults.forEach((fault, at) => lines.set(numbers[at] ?? 0, fault.message));
  return (
    <>
      <pre class="body" tabIndex={0} aria-label="Body as it came">
        {visibleLines(shown)
          .split("\n")
          .map((line, at) => (
            <span class={lines.has(at + 1) ? "line bad" : "line"} title={lines.get(at + 1)}>
              {line}
              {"\n"}
            </span>
          ))}
      </pre>
      {(shown.length >= MOST_SHOWN || !body.whole) && (
        <p>
          The first {bytes(MOST_SHOWN)} of {bytes(letter.bytes)} are shown; the download has all of it.
        </p>
      )}
      {body.text === null && body.whole && letter.bytes <= MOST_EDITED && <p>This is not UTF-8: it can be replayed and downloaded, not edited.</p>}
    </>
  );
}
