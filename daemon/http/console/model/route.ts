/** All state of a view is in the fragment: it reaches no server's log, and a link shows what its maker saw. */

export interface Route {
  /** `["dead", "<id>", "edit"]` of `#/dead/<id>/edit`. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = splitOnce(hash.replace(/^#\/?/, ""), "?");
  const parts = path.split("/").filter((part) => part !== "").map(decoded);
  return { path: parts.length ? parts : ["now"], query: new URLSearchParams(query) };
}

export function href(path: readonly string[], query?: URLSearchParams | Record<string, string>): string {
  const text = new URLSearchParams(query ?? {}).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
