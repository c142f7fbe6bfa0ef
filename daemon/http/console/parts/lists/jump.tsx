/** To a time in a long list, instead of scrolling to it. */

import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";
import { endOf } from "../../model/written_time.ts";
import { useKeys } from "../shell/keys.ts";
import { now, zone } from "../shell/preferences.ts";

interface JumpProps {
  /** Where the list begins now; null: with the newest. */
  readonly from: string | null;
  readonly onJump: (from: string | null) => void;
  /** Puts what is later on top; absent: there is nothing. */
  readonly onLater: (() => void) | undefined;
}

export function Jump({ from, onJump, onLater }: JumpProps): VNode {
  const [fault, setFault] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useKeys([{ key: "t", help: "jump to a time", run: () => field.current?.focus() }]);
  const jump = (event: Event): void => {
    event.preventDefault();
    const at = endOf(field.current?.value ?? "", zone.value, now.value);
    setFault(at === null ? "write 09:12, 28 Nov 09:12, 2026-11-28 or 24h" : "");
    if (at === null) return;
    onJump(at);
    // The keys of the list are wanted next.
    field.current?.blur();
  };
  return (
    <form class="jump" onSubmit={jump}>
      <input
        ref={field}
        type="text"
        aria-label="Jump to a time"
        placeholder="09:12, 28 Nov, 24h"
        autocomplete="off"
        spellcheck={false}
        aria-invalid={fault !== ""}
      />
      <button type="submit">
        Jump <kbd>t</kbd>
      </button>
      {onLater && (
        <button type="button" onClick={onLater}>
          Later ones ↑
        </button>
      )}
      {from !== null && (
        <button type="button" onClick={() => onJump(null)}>
          To the newest
        </button>
      )}
      {fault && (
        <span role="alert" class="fault">
          {fault}
        </span>
      )}
    </form>
  );
}
