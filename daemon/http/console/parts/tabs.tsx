/** Tabs whose choice the view keeps in the address. */

import type { VNode } from "preact";

interface TabsProps {
  readonly label: string;
  readonly names: readonly string[];
  readonly chosen: string;
  readonly onChoose: (name: string) => void;
}

export function Tabs({ label, names, chosen, onChoose }: TabsProps): VNode {
  const step = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const next = names[(names.indexOf(chosen) + by + names.length) % names.length];
    if (by === 0 || next === undefined) return;
    event.preventDefault();
    onChoose(next);
    const tabs = (event.currentTarget as Element).querySelectorAll<HTMLElement>("[role=tab]");
    tabs[names.indexOf(next)]?.focus();
  };
  return (
    <div role="tablist" aria-label={label} class="tabs" onKeyDown={step}>
      {names.map((name) => (
        <button role="tab" aria-selected={name === chosen} tabIndex={name === chosen ? 0 : -1} onClick={() => onChoose(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}
