/** Instants and ages on the screen: one zone for all of them, the whole instant as title. */

import type { VNode } from "preact";
import { age, clock, wholeInstant } from "../model/time.ts";
import { now, zone } from "./shell/preferences.ts";

export function Instant({ at }: { at: string | null | undefined }): VNode {
  if (!at) return <span>–</span>;
  return (
    <time dateTime={at} title={wholeInstant(at, now.value)}>
      {clock(at, zone.value, now.value)}
    </time>
  );
}

export function Age({ at }: { at: string | null | undefined }): VNode {
  if (!at) return <span>–</span>;
  return (
    <time dateTime={at} title={wholeInstant(at, now.value)}>
      {age(at, now.value)}
    </time>
  );
}
