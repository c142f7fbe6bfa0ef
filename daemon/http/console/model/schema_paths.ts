/** From what a schema validator finds to marks in the text. */

import type { Fault, Scanned } from "./exact_json.ts";

export interface Violation {
  readonly keyword: string;
  readonly instanceLocation: string;
  readonly error: string;
}

/** Keywords that only say that something below them failed. */
const WRAPPERS = new Set(["properties", "items", "prefixItems", "allOf", "$ref", "additionalProperties", "unevaluatedProperties"]);
const CHOICES = new Set(["anyOf", "oneOf"]);

/** `payload.status` of `#/payload/status`. */
export function dotted(pointer: string): string {
  return pointer
    .replace(/^#\/?/, "")
    .split("/")
    .filter((part, index, all) => part !== "" || all.length > 1 || index > 0)
    .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"))
    .join(".");
}

/** The faults that matter: the deepest ones; of a choice, the choice itself where nothing deeper failed. */
export function faultsOf(violations: readonly Violation[], scanned: Scanned): Fault[] {
  const real = violations.filter(({ keyword }) => !WRAPPERS.has(keyword));
  const kept = real.filter(
    (each) =>
      !(
        (CHOICES.has(each.keyword) || each.keyword === "type" || each.keyword === "const") &&
        real.some(
          (other) =>
            other !== each &&
            (other.instanceLocation.startsWith(`${each.instanceLocation}/`) ||
              (other.instanceLocation === each.instanceLocation && CHOICES.has(each.keyword) && other.keyword !== "type")),
        )
      ),
  );
  const seen = new Set<string>();
  return kept.flatMap((violation) => {
    const path = dotted(violation.instanceLocation);
    const message = sentence(violation);
    if (seen.has(`${path} ${message}`)) return [];
    seen.add(`${path} ${message}`);
    return [{ offset: placeOf(path, scanned), path, message }];
  });
}

function sentence({ keyword, error }: Violation): string {
  // The library's sentences end in a full stop and name the value's place, which stands beside them already.
  return keyword === "false" ? "This field is not known" : error.replace(/\.$/, "");
}

/** Where a path stands in the text; what is missing is marked at what it is missing from. */
export function placeOf(path: string, scanned: Scanned): number {
  for (let at = path; ; at = at.includes(".") ? at.slice(0, at.lastIndexOf(".")) : "") {
    const place = scanned.places.get(at);
    if (place !== undefined) return place;
    if (at === "") return 0;
  }
}

export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}
