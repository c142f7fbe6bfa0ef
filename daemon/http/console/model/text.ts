/** Text of others, as it is shown: what is invisible, or turns text round, is made visible. */

const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/;
const DECEIVING = /[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]/;

function picture(code: number): string {
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

/** `text` with control characters as their pictures and deceiving ones as `⟨U+202E⟩`; those in `keep` stay. */
export function visible(text: string, keep = ""): string {
  let shown = "";
  for (const char of text) {
    const hidden = (CONTROLS.test(char) && !keep.includes(char)) || (char.length === 1 && DECEIVING.test(char));
    shown += hidden ? picture(char.charCodeAt(0)) : char;
  }
  return shown;
}

/** Text of several lines: line breaks and tabs are what they are. */
export const visibleLines = (text: string): string => visible(text, "\n\t");

/** A long value is cut, and says how long it is. */
export function cut(text: string, most = 200): string {
  return text.length <= most ? text : `${text.slice(0, most)}… (${count(text.length)} characters)`;
}

const THOUSANDS = /\B(?=(?:\d{3})+(?!\d))/g;

/** `2,310`; written by hand, for the first use of a locale costs a page as much as a view. */
export function count(number: number): string {
  const [whole = "", rest] = String(Math.round(number * 1_000) / 1_000).split(".");
  return whole.replace(THOUSANDS, ",") + (rest === undefined ? "" : `.${rest}`);
}

/** `1 letter`, `2,310 letters`. */
export const plural = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

export function bytes(number: number): string {
  if (number < 1024) return `${number} B`;
  return number < 1024 * 1024 ? `${(number / 1024).toFixed(1)} KiB` : `${(number / 1024 / 1024).toFixed(1)} MiB`;
}

/** How full a disk is, of what the health check says of it (`46523 MiB free of 258019`). */
export function diskUsed(detail: string): string | null {
  const [, free, whole] = /^(\d+) MiB free of (\d+)/.exec(detail) ?? [];
  return free === undefined || !Number(whole) ? null : `${Math.round(100 - (Number(free) / Number(whole)) * 100)} %`;
}

/** Hex of bytes, sixteen a line, for what is no text. */
export function hex(data: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < data.length; at += 16) {
    const row = data.subarray(at, at + 16);
    const codes = Array.from(row, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const chars = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${codes.padEnd(47)}  ${chars}`);
  }
  return lines.join("\n");
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** A link only where it is an https address; what a payload says otherwise stays text. */
export function httpsUrl(text: string | null | undefined): string | null {
  if (!text) return null;
  try {
    const url = new URL(text);
    return url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
