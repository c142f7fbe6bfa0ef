/** All keys of the view in sight, and the switches of the page. */

import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import { Dialog } from "../dialog.tsx";
import { allBindings } from "./keys.ts";
import { plainPages, singleKeys } from "./preferences.ts";

/** As they stand on the keys. */
const ARROWS: Readonly<Record<string, string>> = { ArrowUp: "↑", ArrowDown: "↓" };

export function Help({ onClose }: { onClose: () => void }): VNode {
  const bindings = useMemo(() => allBindings(), []);
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="keys">
        {bindings.map((binding) => (
          <>
            <dt>
              <kbd>{ARROWS[binding.key] ?? binding.key}</kbd>
            </dt>
            <dd>{binding.help}</dd>
          </>
        ))}
        <dt>
          <kbd>Ctrl+Enter</kbd>
        </dt>
        <dd>in the editor: check and replay</dd>
      </dl>
      <p class="bar">
        <label>
          <input type="checkbox" checked={singleKeys.value} onChange={() => (singleKeys.value = !singleKeys.value)} /> single keys
        </label>
        <label>
          <input type="checkbox" checked={plainPages.value} onChange={() => (plainPages.value = !plainPages.value)} /> plain pages of 50
        </label>
      </p>
    </Dialog>
  );
}
