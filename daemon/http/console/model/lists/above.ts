/** Which part of a time to ask for next, going up a list that goes by time and can be asked for downwards only. */

export interface Bucket {
  /** An RFC 3339 time; the bucket ends where the next one starts. */
  readonly start: string;
  readonly count: number;
}

export type Step =
  /** There is nothing above. */
  | { readonly kind: "none" }
  /** Rows from where the search began up to `until` (null: up to now) are few enough to be asked for. */
  | { readonly kind: "ask"; readonly until: string | null }
  /** Too many lie in one bucket: look into it. */
  | { readonly kind: "narrow"; readonly since: string; readonly until: string | null };

/** The next step, by how many rows each bucket holds: some `wanted` of them, and no more than `most` where that can be. */
export function stepUp(buckets: readonly Bucket[], wanted: number, most: number): Step {
  let sum = 0;
  for (const [index, { start, count }] of buckets.entries()) {
    const until = buckets[index + 1]?.start ?? null;
    if (sum === 0 && count > most) return { kind: "narrow", since: start, until };
    if (sum > 0 && sum + count > most) return { kind: "ask", until: start };
    sum += count;
    if (sum >= wanted) return { kind: "ask", until };
  }
  return sum === 0 ? { kind: "none" } : { kind: "ask", until: null };
}
