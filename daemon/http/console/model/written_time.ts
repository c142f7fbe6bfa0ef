/** A time as a person writes it: as the page shows times, as a machine writes them, or as an age. */

import { instantOf, MONTHS, partsOf, type Zone } from "./time.ts";

const FORM = /^(?:(\d{4})-(\d{2})-(\d{2})|(\d{1,2}) ([A-Z][a-z]{2})(?: (\d{4}))?)?(?:(?:^|[ T])(\d{1,2}):(\d{2})(?::(\d{2}))?)?$/;

interface Written {
  readonly day: readonly [year: number, month: number, day: number];
  /** What stands for the missing: the day itself, its year, nothing. */
  readonly missing: "day" | "year" | null;
  /** The hour, minute and second after all that is meant. */
  readonly end: readonly [number, number, number];
}

function read(text: string, zone: Zone, now: number): Written | null {
  const [whole, year, month, day, dayOfName, name, yearOfName, hour, minute, second] = FORM.exec(text) ?? [];
  if (!whole) return null;
  const today = partsOf(new Date(now), zone);
  const named = name === undefined ? null : MONTHS.indexOf(name);
  const [hours, minutes, seconds] = [hour, minute, second].map((part) => Number(part ?? 0)) as [number, number, number];
  const written: Written = {
    day: [Number(year ?? yearOfName ?? today.year), named ?? (month ? Number(month) - 1 : today.month), Number(day ?? dayOfName ?? today.day)],
    missing: named !== null && yearOfName === undefined ? "year" : named === null && day === undefined ? "day" : null,
    end: hour === undefined ? [24, 0, 0] : second === undefined ? [hours, minutes + 1, 0] : [hours, minutes, seconds + 1],
  };
  const exists = new Date(Date.UTC(...written.day)).getUTCMonth() === written.day[1] && written.day[2] > 0;
  return exists && hours < 24 && minutes < 60 && seconds < 60 ? written : null;
}

/** Where it is still to come and does not say which one it means, it is the last one that was. */
function instant({ day: [year, month, day], missing, end }: Written, zone: Zone, now: number): number {
  const at = (years: number, days: number): number => {
    const parts = [year - years, month, day - days, ...end] as const;
    return zone === "utc" ? Date.UTC(...parts) : new Date(...parts).getTime();
  };
  const isToCome = at(0, 0) > now + 86_400_000 || (missing === "day" && at(0, 0) > now + 60_000);
  return isToCome && missing !== null ? at(missing === "year" ? 1 : 0, missing === "day" ? 1 : 0) : at(0, 0);
}

/**
 * The instant after all that `text` may mean (`09:12`, `28 Nov 09:12:01`, `2026-11-28`, an RFC 3339 time, `24h`), so that
 * what is older begins with it; null where it names none.
 */
export function endOf(text: string, zone: Zone, now: number): string | null {
  const trimmed = text.trim();
  const written = read(trimmed, zone, now);
  if (written !== null) return new Date(instant(written, zone, now)).toISOString();
  const exact = instantOf(trimmed, now);
  return exact === null || FORM.test(trimmed) ? null : new Date(Date.parse(exact) + 1).toISOString();
}
