/** The body of a letter, to be changed: its marks come from outside, its text goes out as it is. */

import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Fault } from "../../model/json/exact_json.ts";
import type { Handle } from "./codemirror.ts";

export interface EditorProps {
  /** The text to begin with. */
  readonly text: string;
  readonly faults: readonly Fault[];
  /** Hears of each key; the text is fetched from the handle when it is wanted, for a copy of a large one takes a while. */
  readonly onEdit: () => void;
  readonly onSubmit: () => void;
  /** Hears the text when the editor goes. */
  readonly onLeave: (text: string) => void;
  readonly handle: { current: Handle | null };
}

/** Loads the editor's script, once: called where one is likely to be wanted soon. */
export const loadEditor = (): Promise<typeof import("./codemirror.ts")> => import("./codemirror.ts");

export function Editor({ text, faults, onEdit, onSubmit, onLeave, handle }: EditorProps): VNode {
  const place = useRef<HTMLDivElement>(null);
  const latest = useRef({ onEdit, onSubmit, onLeave, faults });
  latest.current = { onEdit, onSubmit, onLeave, faults };
  useEffect(() => {
    let gone = false;
    void loadEditor().then(({ openEditor }) => {
      if (gone || !place.current) return;
      const made = openEditor(
        place.current,
        text,
        () => latest.current.onEdit(),
        () => latest.current.onSubmit(),
      );
      made.mark(latest.current.faults);
      handle.current = made;
    });
    return () => {
      gone = true;
      if (handle.current) latest.current.onLeave(handle.current.text());
      handle.current?.destroy();
      handle.current = null;
    };
  }, []);
  useEffect(() => handle.current?.mark(faults), [faults]);
  return <div class="editor" ref={place} />;
}
