/** One polite region that says what an act came to. */

import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { problemLine } from "../problem.tsx";
import { SIGNED_OUT, type Problem } from "../../model/errors.ts";

const text = signal("");
const failed = signal(false);

export function say(message: string): void {
  failed.value = false;
  text.value = message;
}

export function sayProblem(problem: Problem): void {
  // Whoever has signed in since did not do it.
  if (problem.code === SIGNED_OUT) return;
  failed.value = true;
  text.value = problemLine(problem);
}

export function Outcome(): VNode {
  return (
    <div class={`outcome${failed.value ? " bad" : ""}${text.value ? "" : " empty"}`}>
      <div role="status" aria-label="Outcome">
        {text.value}
      </div>
      {text.value && (
        <button class="quiet" aria-label="Dismiss" onClick={() => say("")}>
          ×
        </button>
      )}
    </div>
  );
}
