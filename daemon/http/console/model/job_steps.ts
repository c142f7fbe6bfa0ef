/** How long a job stayed in each state, from the rows of its history. */

export interface JobStep {
  readonly version: number;
  readonly when: string;
  readonly from: string | null;
  readonly to: string | null;
}

export interface Stay {
  readonly state: string;
  /** The version of the job that began it; 1 is its creation. */
  readonly version: number;
  readonly ms: number;
  /** Whether it goes on. */
  readonly goesOn: boolean;
}

const AT_ITS_END = new Set(["DONE", "FAILED", "CANCELLED"]);

/**
 * The stays in their order. `steps` may come in any order; `created` is when the job was made, or null where older rows
 * are not at hand: what lasted until the first row is then left out.
 */
export function staysOf(steps: readonly JobStep[], created: string | null, now: number): Stay[] {
  const moves = steps.filter(({ from, to }) => to !== null && from !== to).sort((a, b) => a.version - b.version);
  const first = moves[0];
  const begins = moves.map(({ version, to, when }) => ({ version, state: to ?? "", at: Date.parse(when) }));
  if (created !== null && (first === undefined || first.from !== null))
    begins.unshift({ version: 1, state: first?.from ?? "CREATED", at: Date.parse(created) });
  return begins.flatMap(({ version, state, at }, index) => {
    const next = begins[index + 1];
    if (next === undefined && AT_ITS_END.has(state)) return [];
    return [{ state, version, ms: Math.max(0, (next?.at ?? now) - at), goesOn: next === undefined }];
  });
}

/** The time in each state, all its stays taken together; that of the present one goes on. */
export function timeIn(stays: readonly Stay[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { state, ms } of stays) sums.set(state, (sums.get(state) ?? 0) + ms);
  return sums;
}
