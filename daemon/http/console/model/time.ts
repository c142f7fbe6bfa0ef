/** Instants as people read them: one zone for all, ages by the daemon's clock. */

export type Zone = "local" | "utc";

export const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const pad = (number: number, digits = 2): string => String(number).padStart(digits, "0");

interface Parts {
  year: number;
  month: number;
  day: number;
  clock: string;
}

export function partsOf(at: Date, zone: Zone): Parts {
  return zone === "utc"
    ? {
        year: at.getUTCFullYear(),
        month: at.getUTCMonth(),
        day: at.getUTCDate(),
        clock: `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`,
      }
    : {
        year: at.getFullYear(),
        month: at.getMonth(),
        day: at.getDate(),
        clock: `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`,
      };
}

/** `HH:MM:SS`, with the date where it is another day than `now`'s, with the year where it is another. */
export function clock(instant: string, zone: Zone, now: number): string {
  const at = new Date(instant);
  if (Number.isNaN(at.getTime())) return instant;
  const then = partsOf(at, zone);
  const today = partsOf(new Date(now), zone);
  if (then.year !== today.year) return `${then.day} ${MONTHS[then.month]} ${then.year} ${then.clock}`;
  if (then.month !== today.month || then.day !== today.day) return `${then.day} ${MONTHS[then.month]} ${then.clock}`;
  return then.clock;
}

/** `+05:30`, the offset of the local zone at an instant. */
export function offset(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  return `${minutes < 0 ? "-" : "+"}${pad(Math.floor(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
}

export const zoneName = (zone: Zone, now: number): string => (zone === "utc" ? "UTC" : `local ${offset(new Date(now))}`);

/** The whole instant in both zones, and its age. */
export function wholeInstant(instant: string, now: number): string {
  const at = new Date(instant);
  if (Number.isNaN(at.getTime())) return instant;
  const local = partsOf(at, "local");
  const day = `${local.year}-${pad(local.month + 1)}-${pad(local.day)}`;
  return `${instant} · ${day} ${local.clock} ${offset(at)} · ${age(instant, now)}`;
}

/** `40 s ago`, `2 min ago`, `3 d ago`; `in 5 min` for what is to come. */
export function age(instant: string, now: number): string {
  const seconds = (now - Date.parse(instant)) / 1000;
  if (Number.isNaN(seconds)) return "";
  // Clocks differ by a little, and the page looks at its own every few seconds.
  return seconds < -10 ? `in ${duration(-seconds)}` : `${duration(Math.max(0, seconds))} ago`;
}

/** `12 s`, `5 min`, `1 h 19 min`, `3 d`. */
export function duration(seconds: number): string {
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
  return `${Math.floor(minutes / 1440)} d`;
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms / 1000);
}

/** The last day, in UTC, of a window that ends before `end`. */
export function lastDay(end: string): string {
  const at = Date.parse(end);
  return Number.isNaN(at) ? end : new Date(at - 1).toISOString().slice(0, 10);
}

const UNITS: Record<string, number> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 };

/** The instant that `24h`, `30m`, `7d` or an RFC 3339 time names, as an RFC 3339 time; null where it names none. */
export function instantOf(text: string, now: number): string | null {
  const relative = /^(\d{1,6})(s|m|min|h|d|w)$/.exec(text);
  if (relative) return new Date(now - Number(relative[1]) * 1000 * (UNITS[relative[2] ?? ""] ?? 0)).toISOString();
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return instantOf(`${text}T00:00:00Z`, now);
  if (!/^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:\d{2})$/i.test(text) || Number.isNaN(Date.parse(text))) return null;
  return text;
}
