/**
 * Strict JSON that keeps every token's text. A body that is sent back never passes through `JSON.parse` and
 * `stringify`: a number beyond 2^53 and the spelling of a string would not survive it.
 *
 * The rules are the gate's: duplicate keys, lone surrogates, integers beyond 64 bits, numbers that are not finite,
 * nesting over 200 and a byte order mark are faults. The scanner stops where it is asked to and goes on from there, so
 * that a large body is judged between two keys of the person who writes it; nothing is kept of what is well.
 */

import { remembered } from "../remembered.ts";

export interface Fault {
  readonly offset: number;
  readonly path: string;
  readonly message: string;
}

export interface Scanned {
  readonly faults: readonly Fault[];
  /** Whether the text is JSON at all; rules beyond syntax do not matter here. */
  readonly wellFormed: boolean;
}

const DEEPEST = 200;
const LARGEST = 2n ** 64n - 1n;
const SMALLEST = -(2n ** 63n);
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const INTEGER = /^-?\d+$/;
/** What an integer within 64 bits surely is: most are short, and need no arithmetic. */
const SAFE_DIGITS = 18;
const LONE_SURROGATE = /\p{Surrogate}/u;
const BLANKS = /[ \t\r\n]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const STEPS_A_LOOK = 512;

class SyntaxFault extends Error {
  constructor(
    readonly offset: number,
    message: string,
  ) {
    super(message);
  }
}

/** An object or array that is not closed yet. */
interface Level {
  /** Its own path, where somewhere below it is wanted; null elsewhere. */
  readonly wanted: string | null;
  /** The keys so far; null in an array. */
  readonly keys: Set<string> | null;
  key: string;
  index: number;
}

type Expected = "value" | "first item" | "first key" | "key" | "after" | "nothing";

export class Scanner {
  readonly faults: Fault[] = [];
  /** Where the values of the wanted paths begin, as far as they are there. */
  readonly places = new Map<string, number>();
  wellFormed = true;
  private at = 0;
  private expected: Expected = "value";
  private readonly levels: Level[] = [];
  private readonly mayBeLone: boolean;

  /** `wanted` are paths and `above` all that lies above one of them. */
  constructor(
    private readonly text: string,
    private readonly wanted: ReadonlySet<string> = new Set(),
    private readonly above: ReadonlySet<string> = new Set(),
  ) {
    this.mayBeLone = LONE_SURROGATE.test(text);
  }

  /** Goes on until the end or until `enough` says so; true at the end. */
  run(enough: () => boolean = () => false): boolean {
    try {
      if (this.at === 0 && this.text.startsWith("\ufeff")) throw new SyntaxFault(0, "A byte order mark is refused");
      for (let steps = 1; this.step(); steps++) if (steps % STEPS_A_LOOK === 0 && enough()) return false;
      if (this.at < this.text.length) throw new SyntaxFault(this.at, "Nothing may follow the value");
    } catch (error) {
      if (!(error instanceof SyntaxFault)) throw error;
      this.faults.push({ offset: error.offset, path: "", message: error.message });
      this.wellFormed = false;
    }
    return true;
  }

  private step(): boolean {
    this.blanks();
    switch (this.expected) {
      case "nothing":
        return false;
      case "after":
        this.after();
        return true;
      case "first key":
        if (this.text[this.at] === "}") this.close();
        else this.key();
        return true;
      case "key":
        this.key();
        return true;
      case "first item":
        if (this.text[this.at] === "]") this.close();
        else this.value();
        return true;
      case "value":
        this.value();
        return true;
    }
  }

  private blanks(): void {
    BLANKS.lastIndex = this.at;
    BLANKS.test(this.text);
    this.at = BLANKS.lastIndex;
  }

  private path(): string {
    return this.levels.map((level) => (level.keys === null ? level.index : level.key)).join(".");
  }

  private fault(offset: number, path: string, message: string): void {
    this.faults.push({ offset, path, message });
  }

  /** The path of the value that begins, where it or something in it is wanted. */
  private wantedHere(): string | null {
    const level = this.levels.at(-1);
    if (level === undefined) return "";
    if (level.wanted === null) return null;
    const name = level.keys === null ? String(level.index) : level.key;
    return level.wanted === "" ? name : `${level.wanted}.${name}`;
  }

  private value(): void {
    const path = this.wantedHere();
    if (path !== null && this.wanted.has(path)) this.places.set(path, this.at);
    if (this.levels.length >= DEEPEST) throw new SyntaxFault(this.at, `Nested over ${DEEPEST} deep`);
    const first = this.text[this.at];
    if (first === "{" || first === "[") {
      const wanted = path !== null && this.above.has(path) ? path : null;
      this.levels.push({ wanted, keys: first === "{" ? new Set() : null, key: "", index: 0 });
      this.expected = first === "{" ? "first key" : "first item";
      this.at++;
      return;
    }
    if (first === '"') this.string(() => this.path());
    else this.scalar();
    this.valueEnds();
  }

  private valueEnds(): void {
    this.expected = this.levels.length ? "after" : "nothing";
  }

  private close(): void {
    this.at++;
    this.levels.pop();
    this.valueEnds();
  }

  private after(): void {
    const level = this.levels.at(-1) as Level;
    const end = level.keys === null ? "]" : "}";
    const mark = this.text[this.at];
    if (mark === end) return this.close();
    if (mark !== ",") throw new SyntaxFault(this.at, `A , or ${end} is missing`);
    this.at++;
    this.blanks();
    if (this.text[this.at] === end) throw new SyntaxFault(this.at, `No comma before ${end}`);
    level.index++;
    this.expected = level.keys === null ? "value" : "key";
  }

  private key(): void {
    const level = this.levels.at(-1) as Level;
    const offset = this.at;
    const above = (): string => this.levels.slice(0, -1).map((each) => (each.keys === null ? each.index : each.key)).join(".");
    level.key = this.string(above, "A key in quotes, or }, is missing");
    if (level.keys?.has(level.key)) this.fault(offset, this.path(), "The key stands here twice");
    level.keys?.add(level.key);
    this.blanks();
    if (this.text[this.at] !== ":") throw new SyntaxFault(this.at, "A : is missing after the key");
    this.at++;
    this.expected = "value";
  }

  private string(path: () => string, missing = "A value is missing"): string {
    const { text } = this;
    const start = this.at;
    if (text[start] !== '"') throw new SyntaxFault(start, missing);
    let escaped = false;
    let end = start + 1;
    for (;;) {
      PLAIN.lastIndex = end;
      PLAIN.test(text);
      end = PLAIN.lastIndex;
      if (end >= text.length) throw new SyntaxFault(start, "The string has no end");
      if (text[end] === '"') break;
      if (text[end] !== "\\") throw new SyntaxFault(end, "A control character in a string is written \\u00…");
      escaped = true;
      end += 2;
    }
    this.at = end + 1;
    const value = escaped ? decoded(text.slice(start, end + 1), start) : text.slice(start + 1, end);
    if ((escaped || this.mayBeLone) && LONE_SURROGATE.test(value)) this.fault(start, path(), "A lone surrogate is refused");
    return value;
  }

  private scalar(): void {
    for (const pattern of [WORD, NUMBER]) {
      pattern.lastIndex = this.at;
      if (!pattern.test(this.text)) continue;
      const offset = this.at;
      this.at = pattern.lastIndex;
      if (/[\w.+-]/.test(this.text[this.at] ?? "")) throw new SyntaxFault(offset, "This is no value");
      if (pattern === NUMBER) this.number(offset);
      return;
    }
    throw new SyntaxFault(this.at, this.at < this.text.length ? "This is no value" : "A value is missing");
  }

  private number(offset: number): void {
    const text = this.text.slice(offset, this.at);
    if (INTEGER.test(text)) {
      if (text.length <= SAFE_DIGITS) return;
      const value = BigInt(text);
      if (value > LARGEST || value < SMALLEST) this.fault(offset, this.path(), "An integer beyond 64 bits is refused");
    } else if (!Number.isFinite(Number(text))) this.fault(offset, this.path(), "The number is not finite");
  }
}

function decoded(literal: string, offset: number): string {
  try {
    return JSON.parse(literal) as string;
  } catch {
    throw new SyntaxFault(offset, "The string has a wrong escape");
  }
}

export const scan = remembered((text: string): Scanned => {
  const scanner = new Scanner(text);
  scanner.run();
  return scanner;
}, 3);

/** The same in small parts: `pause` is awaited between them, and stops the whole where it says false. */
export async function scanInParts(text: string, enough: () => boolean, pause: () => Promise<boolean>): Promise<Scanned | null> {
  const scanner = new Scanner(text);
  while (!scanner.run(enough)) if (!(await pause())) return null;
  return scanner;
}

/** Where dotted paths stand in the text; what is missing is marked at what it is missing from. */
export function placesOf(text: string, paths: readonly string[]): number[] {
  const wanted = new Set<string>([""]);
  const above = new Set<string>();
  for (const path of paths) {
    wanted.add(path);
    if (path !== "") above.add("");
    for (let dot = path.indexOf("."); dot >= 0; dot = path.indexOf(".", dot + 1)) {
      wanted.add(path.slice(0, dot));
      above.add(path.slice(0, dot));
    }
  }
  const scanner = new Scanner(text, wanted, above);
  scanner.run();
  return paths.map((path) => {
    for (let at = path; ; at = at.includes(".") ? at.slice(0, at.lastIndexOf(".")) : "") {
      const place = scanner.places.get(at);
      if (place !== undefined) return place;
      if (at === "") return 0;
    }
  });
}
