/** Single keys: off while typing, in dialogs, and where the person has switched them off (WCAG 2.1.4). */

import { useEffect, useRef } from "preact/hooks";
import { singleKeys } from "./preferences.ts";

export interface Binding {
  readonly key: string;
  readonly help: string;
  readonly run: () => void;
}

type Layer = { current: readonly Binding[] };

const layers: Layer[] = [];
const SEQUENCE_MS = 1_500;
let begun = "";
let begunAt = 0;

/** Bindings while the component is there; the newest component wins. */
export function useKeys(bindings: readonly Binding[]): void {
  const layer = useRef(bindings);
  layer.current = bindings;
  useEffect(() => {
    layers.push(layer);
    return () => void layers.splice(layers.indexOf(layer), 1);
  }, []);
}

export const allBindings = (): Binding[] => {
  const known = new Map<string, Binding>();
  for (const layer of layers) for (const binding of layer.current) known.set(binding.key, binding);
  return [...known.values()];
};

function isTyping(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  return target.matches("textarea, select, input:not([type=checkbox]):not([type=radio])");
}

/** Escape leaves a field, so that the keys of the view are there again; a dialog it closes instead. */
function leaveField(event: KeyboardEvent): void {
  const target = event.composedPath()[0];
  if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
}

function isControl(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  return target instanceof Element && target.matches("a, button, summary, input, [role=tab]");
}

export function followKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (isTyping(event)) return leaveField(event);
    if (!singleKeys.value) return;
    if ((event.key === "Enter" || event.key === " ") && isControl(event)) return;
    const sequence = begun !== "" && Date.now() - begunAt < SEQUENCE_MS ? `${begun} ${event.key}` : event.key;
    begun = "";
    const bindings = allBindings();
    const found = bindings.find(({ key }) => key === sequence);
    if (found) {
      event.preventDefault();
      found.run();
    } else if (bindings.some(({ key }) => key.startsWith(`${event.key} `))) {
      begun = event.key;
      begunAt = Date.now();
    }
  });
}
