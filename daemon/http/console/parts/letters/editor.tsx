/** The body of a letter, to be changed: its marks come from outside, its text goes out as it is. */

import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Fault } from "../../model/exact_json.ts";
import type { Handle } from "./codemirror.ts";

export interface EditorProps {
  /** The text to begin with; another one replaces what is there. */
  readonly text: string;
  readonly faults: readonly Fault[];
  readonly onText: (text: string) => void;
  readonly onSubmit: () => void;
  readonly handle: { current: Handle | null };
}

export function Editor({ text, faults, onText, onSubmit, handle }: EditorProps): VNode {
  const place = useRef<HTMLDivElement>(null);
  const latest = useRef({ onText, onSubmit, text, faults });
  latest.current = { onText, onSubmit, text, faults };
  useEffect(() => {
    let gone = false;
    void import("./codemirror.ts").then(({ openEditor }) => {
      if (gone || !place.current) return;
      const made = openEditor(
        place.current,
        latest.current.text,
        () => latest.current.onText(made.text()),
        () => latest.current.onSubmit(),
      );
      made.mark(latest.current.faults);
      handle.current = made;
    });
    return () => {
      gone = true;
      handle.current?.destroy();
      handle.current = null;
    };
  }, []);
  useEffect(() => {
    if (handle.current && handle.current.text() !== text) handle.current.replace(text);
  }, [text]);
  useEffect(() => handle.current?.mark(faults), [faults]);
  return <div class="editor" ref={place} />;
}
