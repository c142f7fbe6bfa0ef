/** The tokens of a JSON text, walked without keeping them: for setting it in lines, and for proving two texts the same. */

import { scan } from "./exact_json.ts";
import { remembered } from "../remembered.ts";

const SCALAR = /[^ \t\r\n,:{}[\]"]+/y;
const INTEGER = /^-?\d{16,}$/;

const isBlank = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/** Where the next token begins; the length of the text where there is none. */
function tokenStart(text: string, at: number): number {
  while (at < text.length && isBlank(text.charCodeAt(at))) at++;
  return at;
}

/** Where the token at `at` ends. Every text has tokens, also one that is no JSON. */
function tokenEnd(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return stringEnd(text, at);
  if (first === "{" || first === "}" || first === "[" || first === "]" || first === "," || first === ":") return at + 1;
  SCALAR.lastIndex = at;
  SCALAR.test(text);
  return SCALAR.lastIndex;
}

function stringEnd(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return end + 1;
  }
  return text.length;
}

/** `text` with two blanks a level; the tokens stay as they are written. Null where it is no JSON. */
export const formatted = remembered((text: string): string | null => {
  if (!scan(text).wellFormed) return null;
  const parts: string[] = [];
  let line = "\n";
  let before = "";
  for (let at = tokenStart(text, 0); at < text.length; ) {
    const end = tokenEnd(text, at);
    const token = text.slice(at, end);
    const opened = before === "{" || before === "[";
    if (token === "}" || token === "]") {
      line = line.slice(0, -2);
      if (!opened) parts.push(line);
    } else if (opened || before === ",") parts.push(line);
    else if (before === ":") parts.push(" ");
    parts.push(token);
    if (token === "{" || token === "[") line += "  ";
    before = token;
    at = tokenStart(text, end);
  }
  const out = parts.join("");
  return sameTokens(text, out) ? out : null;
}, 4);

/** Whether two texts are the same JSON, token text by token text. */
export function sameTokens(one: string, other: string): boolean {
  let [a, b] = [tokenStart(one, 0), tokenStart(other, 0)];
  while (a < one.length && b < other.length) {
    const [endA, endB] = [tokenEnd(one, a), tokenEnd(other, b)];
    if (endA - a !== endB - b || one.slice(a, endA) !== other.slice(b, endB)) return false;
    a = tokenStart(one, endA);
    b = tokenStart(other, endB);
  }
  return a >= one.length && b >= other.length;
}

/** Parses what is only shown: an integer that a double cannot hold becomes its text. */
export function parseShown(text: string): unknown {
  return JSON.parse(/\d{16}/.test(text) ? withExactIntegers(text) : text);
}

function withExactIntegers(text: string): string {
  const parts: string[] = [];
  let copied = 0;
  for (let at = tokenStart(text, 0); at < text.length; ) {
    const end = tokenEnd(text, at);
    const token = text[at] === '"' || end - at < 16 ? "" : text.slice(at, end);
    if (INTEGER.test(token) && !Number.isSafeInteger(Number(token))) {
      parts.push(text.slice(copied, at), '"', token, '"');
      copied = end;
    }
    at = tokenStart(text, end);
  }
  return parts.join("") + text.slice(copied);
}
