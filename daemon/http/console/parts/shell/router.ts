/** Where the person is: the fragment of the address, as a signal. */

import { signal } from "@preact/signals";
import { href, parseRoute, type Route } from "../../model/route.ts";

export const route = signal<Route>(parseRoute(location.hash));

/** Whether the page is about to go back: the browser does that a little later, and tells when it has. */
export const leaving = signal(false);
/** Longer than any browser takes: one that goes nowhere tells nothing. */
const LEAVING_MS = 5_000;
let waiting = 0;

/** `onMoved` hears of every way that the page did not go by itself: a link, the browser's buttons, the address line. */
export function followAddress(onMoved: () => void): void {
  addEventListener("hashchange", () => {
    const { path, query } = route.peek();
    const isOurs = leaving.peek();
    if (href(path, query) !== location.hash) {
      if (!isOurs) onMoved();
      route.value = parseRoute(location.hash);
    }
    leaving.value = false;
  });
  // Back to what has the same address: no other event comes.
  addEventListener("popstate", () => {
    const { path, query } = route.peek();
    if (href(path, query) === location.hash) leaving.value = false;
  });
}

export function go(path: readonly string[], query?: URLSearchParams | Record<string, string>): void {
  location.hash = href(path, query);
  // At once, not when the browser tells: the next key may come before that, and is for the view that was asked for.
  route.value = parseRoute(location.hash);
}

/** To where the person came from; to `otherwise` where that is nowhere. */
export function back(otherwise: readonly string[]): void {
  if (history.length <= 1) return go(otherwise);
  leaving.value = true;
  clearTimeout(waiting);
  waiting = setTimeout(() => (leaving.value = false), LEAVING_MS) as unknown as number;
  history.back();
}

/** The same view with another state: no new entry in the history. */
export function replaceQuery(query: URLSearchParams): void {
  history.replaceState(null, "", href(route.value.path, query));
  route.value = { path: route.value.path, query };
}

export function setQuery(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(route.value.query);
  for (const [key, value] of Object.entries(changes)) if (value === null) query.delete(key);
    else query.set(key, value);
  replaceQuery(query);
}
