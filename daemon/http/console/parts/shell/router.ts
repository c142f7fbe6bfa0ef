/** Where the person is: the fragment of the address, as a signal. */

import { signal } from "@preact/signals";
import { href, parseRoute, type Route } from "../../model/route.ts";

export const route = signal<Route>(parseRoute(location.hash));

export function followAddress(): void {
  addEventListener("hashchange", () => {
    route.value = parseRoute(location.hash);
  });
}

export function go(path: readonly string[], query?: URLSearchParams | Record<string, string>): void {
  location.hash = href(path, query);
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
