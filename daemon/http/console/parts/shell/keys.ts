/**
 * Single keys: off while typing, in dialogs, and where the person has switched them off (WCAG 2.1.4). A key that comes
 * before what it is for is held (held_keys.ts).
 */

import { useLayoutEffect, useRef } from "preact/hooks";
import { dropHeld, goOnWithHeld, hold, isHolding } from "./held_keys.ts";
import { singleKeys } from "./preferences.ts";
import { leaving, route } from "./router.ts";

export interface Binding {
  readonly key: string;
  readonly help: string;
  readonly run: () => void;
}

interface Layer {
  bindings: readonly Binding[];
  /** Whether what its keys are about is still to come. */
  waits: boolean;
  /** Whether its keys are there in all views, and wait for none. */
  readonly ofShell: boolean;
}

const layers: Layer[] = [];
const SEQUENCE_MS = 1_500;
let begun = "";
/** When it was pressed: a page that is busy hears of it later. */
let begunAt = 0;

/** Bindings while the component is there, from the moment it is; the newest component wins. While it waits, so do they. */
export const useKeys = (bindings: readonly Binding[], waits = false): void => useLayer(bindings, waits, false);

export const useShellKeys = (bindings: readonly Binding[]): void => useLayer(bindings, false, true);

function useLayer(bindings: readonly Binding[], waits: boolean, ofShell: boolean): void {
  const { current: layer } = useRef<Layer>({ bindings, waits, ofShell });
  layer.bindings = bindings;
  layer.waits = waits;
  // Not after the next painting: keys come before that.
  useLayoutEffect(() => {
    layers.push(layer);
    return () => void layers.splice(layers.indexOf(layer), 1);
  }, []);
  useLayoutEffect(goOn);
}

export const allBindings = (): Binding[] => {
  const known = new Map<string, Binding>();
  for (const { bindings } of layers) for (const binding of bindings) known.set(binding.key, binding);
  return [...known.values()];
};

/** What a key does now; nothing, or it has to wait for what it is about. */
function meaningOf(key: string): Binding | "wait" | undefined {
  const layer = layers.findLast(({ bindings }) => bindings.some((binding) => binding.key === key));
  if (layer === undefined) return layers.some(({ waits }) => waits) ? "wait" : undefined;
  return layer.waits ? "wait" : layer.bindings.find((binding) => binding.key === key);
}

/** Whether a key, or one that begins with it, is of the shell alone. */
function isOfShell(key: string): boolean {
  const has = ({ bindings }: Layer): boolean => bindings.some((binding) => binding.key === key || binding.key.startsWith(`${key} `));
  return layers.some((layer) => layer.ofShell && has(layer)) && !layers.some((layer) => !layer.ofShell && has(layer));
}

/** Every render may have brought what a key waits for. */
const goOn = (): void => goOnWithHeld(meaningOf);

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

function press(event: KeyboardEvent): void {
  const sequence = begun !== "" && event.timeStamp - begunAt < SEQUENCE_MS ? `${begun} ${event.key}` : event.key;
  begun = "";
  // In their order: none goes past those that wait.
  if (isHolding() && event.key !== "Escape" && (isHolding("/") || !isOfShell(sequence))) return hold(event);
  const meaning = meaningOf(sequence);
  if (typeof meaning === "object") {
    event.preventDefault();
    const before = route.peek();
    if (event.key === "Escape") dropHeld();
    meaning.run();
    if (route.peek() !== before) dropHeld();
  } else if (allBindings().some(({ key }) => key.startsWith(`${event.key} `))) {
    begun = event.key;
    begunAt = event.timeStamp;
  } else if (meaning === "wait") hold(event);
}

export function followKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    // A held key led into the field, and those that came after it are still on their way there.
    if (isTyping(event)) return isHolding() ? hold(event) : leaveField(event);
    if (!singleKeys.value) return;
    if ((event.key === "Enter" || event.key === " ") && isControl(event)) return;
    if (leaving.value) hold(event);
    else press(event);
  });
  leaving.subscribe(goOn);
}
