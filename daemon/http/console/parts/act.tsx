/** A button that acts: what a scope or a broken connection does not allow is shown disabled, with the reason. */

import type { ComponentChildren, VNode } from "preact";
import { linkState } from "../link/connection.ts";
import { may } from "../link/principal.ts";

interface ActProps {
  readonly children: ComponentChildren;
  readonly onAct: () => void;
  readonly scope?: string;
  readonly disabled?: boolean;
  readonly why?: string;
  readonly hint?: string;
  readonly kind?: "main" | "danger" | "plain";
  readonly submit?: boolean;
  /** In a row of a list, which is one stop of the Tab key: what opening the row offers too. */
  readonly inRow?: boolean;
}

export function Act({ children, onAct, scope, disabled, why, hint, kind = "plain", submit, inRow }: ActProps): VNode {
  const lacking = scope !== undefined && !may(scope) ? `needs ${scope}` : null;
  const offline = linkState.value !== "connected" ? "offline" : null;
  const reason = lacking ?? offline ?? (disabled ? (why ?? null) : null);
  return (
    <button
      type={submit ? "submit" : "button"}
      class={kind}
      tabIndex={inRow ? -1 : undefined}
      disabled={Boolean(lacking ?? offline ?? disabled)}
      title={reason ?? undefined}
      onClick={submit ? undefined : onAct}
    >
      {children}
      {hint && <kbd>{hint}</kbd>}
      {lacking && !inRow && <small> {lacking}</small>}
    </button>
  );
}
