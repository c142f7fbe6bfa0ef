/**
 * Keys that came before what they are for: `Enter` on a list that is still asked for, `e` on the letter that it opens.
 * They are done in their order, each as soon as it can be; a person who turns elsewhere meanwhile takes them back. One
 * key does nothing to a letter: at most it opens what asks first.
 */

import type { Binding } from "./keys.ts";
import { leaving } from "./router.ts";

type Meaning = (key: string) => Binding | "wait" | undefined;

const MOST = 32;
/** How long the first in line waits: those behind it waited for it, not for what they are for. */
const PATIENCE_MS = 10_000;
const NAMED = new Set(["Enter", "Escape", "ArrowUp", "ArrowDown"]);

const held: { readonly key: string; at: number }[] = [];
let timer = 0;
let working = false;

/** Whether a key is held; `key`, where it is said. */
export const isHolding = (key?: string): boolean => held.some((each) => key === undefined || each.key === key);

export function hold(event: KeyboardEvent): void {
  if (event.repeat || held.length >= MOST || (event.key.length > 1 && !NAMED.has(event.key))) return;
  event.preventDefault();
  held.push({ key: event.key, at: Date.now() });
}

export function dropHeld(): void {
  held.length = 0;
}

/** Do what has become possible, one key after the other: the page is drawn anew between them. */
export function goOnWithHeld(meaningOf: Meaning): void {
  if (held.length === 0 || timer !== 0) return;
  timer = setTimeout(() => {
    timer = 0;
    if (step(meaningOf)) goOnWithHeld(meaningOf);
  }) as unknown as number;
}

/** Whether one more may be possible now. */
function step(meaningOf: Meaning): boolean {
  const first = held[0];
  if (first === undefined || leaving.peek()) return false;
  if (Date.now() - first.at > PATIENCE_MS || document.querySelector("dialog[open]")) {
    dropHeld();
    return false;
  }
  const field = document.activeElement;
  if (field instanceof HTMLInputElement && field.type === "text") write(field, first.key);
  else {
    const meaning = meaningOf(first.key);
    if (meaning === "wait") return false;
    working = true;
    meaning?.run();
    working = false;
  }
  held.shift();
  if (held[0]) held[0].at = Date.now();
  return true;
}

/** A held `/` led into a field: what was typed after it goes there. */
function write(field: HTMLInputElement, key: string): void {
  if (key === "Enter") field.form?.requestSubmit();
  else if (key === "Escape") field.blur();
  else if (key.length === 1) {
    field.setRangeText(key, field.selectionStart ?? 0, field.selectionEnd ?? 0, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

export function followHeldKeys(): void {
  addEventListener("pointerdown", dropHeld, { capture: true });
  addEventListener("blur", dropHeld);
  addEventListener("focusin", () => working || dropHeld());
}
