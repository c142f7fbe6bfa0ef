/** From what a schema validator finds to marks in the text. */

import { placesOf, type Fault } from "./exact_json.ts";

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
export function faultsOf(violations: readonly Violation[], text: string): Fault[] {
  const real = violations.filter(({ keyword }) => !WRAPPERS.has(keyword));
  const kept = real.filter(
    (each) =>
      !isOtherChoice(each, real) &&
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
  const told = kept.flatMap((violation) => {
    const path = dotted(violation.instanceLocation);
    const message = sentence(violation);
    if (seen.has(`${path} ${message}`)) return [];
    seen.add(`${path} ${message}`);
    return [{ path, message }];
  });
  return placed(told, text);
}

/** Of "a whole number from 0 on, or null" a value of -1 fails the first: that it is no null either tells nothing. */
function isOtherChoice(each: Violation, all: readonly Violation[]): boolean {
  const here = all.filter((other) => other.instanceLocation === each.instanceLocation);
  const isOffered = here.some(({ keyword }) => CHOICES.has(keyword));
  return each.keyword === "type" && isOffered && here.some(({ keyword }) => keyword !== "type" && !CHOICES.has(keyword));
}

function sentence({ keyword, error }: Violation): string {
  // The library's sentences end in a full stop and name the value's place, which stands beside them already.
  return keyword === "false" ? "This field is not known" : error.replace(/\.$/, "");
}

/** Faults with the places in the text at which their paths stand. */
export function placed(faults: readonly { readonly path: string; readonly message: string }[], text: string): Fault[] {
  if (faults.length === 0) return [];
  const places = placesOf(text, faults.map(({ path }) => path));
  return faults.map(({ path, message }, at) => ({ path, message, offset: places[at] ?? 0 }));
}

/** The line of an offset, the first one being 1. */
export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** The lines of many places in one walk. */
export function linesOf(text: string, offsets: readonly number[]): number[] {
  const lines = new Map<number, number>();
  let line = 1;
  let at = text.indexOf("\n");
  for (const offset of [...offsets].sort((a, b) => a - b)) {
    while (at >= 0 && at < offset) {
      line++;
      at = text.indexOf("\n", at + 1);
    }
    lines.set(offset, line);
  }
  return offsets.map((offset) => lines.get(offset) ?? 1);
}
