/**
 * Strict JSON that keeps every token's text. A body that is sent back never passes through `JSON.parse` and
 * `stringify`: a number beyond 2^53 and the spelling of a string would not survive it.
 *
 * The rules are the gate's: duplicate keys, lone surrogates, integers beyond 64 bits, numbers that are not finite,
 * nesting over 200 and a byte order mark are faults.
 */

export interface Fault {
  readonly offset: number;
  readonly path: string;
  readonly message: string;
}

export interface Token {
  readonly offset: number;
  readonly text: string;
}

export interface Scanned {
  readonly tokens: readonly Token[];
  readonly faults: readonly Fault[];
  /** Where the value of a dotted path begins. */
  readonly places: ReadonlyMap<string, number>;
  /** Whether the text is JSON at all; rules beyond syntax do not matter here. */
  readonly wellFormed: boolean;
}

const DEEPEST = 200;
const LARGEST = 2n ** 64n - 1n;
const SMALLEST = -(2n ** 63n);
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const LONE_SURROGATE = /\p{Surrogate}/u;
const BLANKS = /[ \t\r\n]*/y;

class SyntaxFault extends Error {
  constructor(
    readonly offset: number,
    message: string,
  ) {
    super(message);
  }
}

class Scanner {
  readonly tokens: Token[] = [];
  readonly faults: Fault[] = [];
  readonly places = new Map<string, number>();
  private at = 0;

  constructor(private readonly text: string) {}

  scan(): boolean {
    try {
      if (this.text.startsWith("\ufeff")) throw new SyntaxFault(0, "A byte order mark is refused");
      this.blanks();
      this.value("", 1);
      this.blanks();
      if (this.at < this.text.length) throw new SyntaxFault(this.at, "Nothing may follow the value");
      return true;
    } catch (error) {
      if (!(error instanceof SyntaxFault)) throw error;
      this.faults.push({ offset: error.offset, path: "", message: error.message });
      return false;
    }
  }

  private blanks(): void {
    BLANKS.lastIndex = this.at;
    BLANKS.exec(this.text);
    this.at = BLANKS.lastIndex;
  }

  private push(end: number): string {
    const text = this.text.slice(this.at, end);
    this.tokens.push({ offset: this.at, text });
    this.at = end;
    return text;
  }

  private expect(mark: string, message: string): void {
    if (this.text[this.at] !== mark) throw new SyntaxFault(this.at, message);
    this.push(this.at + 1);
  }

  private fault(offset: number, path: string, message: string): void {
    this.faults.push({ offset, path, message });
  }

  private value(path: string, depth: number): void {
    this.places.set(path, this.at);
    if (depth > DEEPEST) throw new SyntaxFault(this.at, `Nested over ${DEEPEST} deep`);
    const first = this.text[this.at];
    if (first === "{") this.object(path, depth);
    else if (first === "[") this.array(path, depth);
    else if (first === '"') this.string(path);
    else this.scalar(path);
  }

  private object(path: string, depth: number): void {
    this.expect("{", "An object begins with {");
    this.blanks();
    const keys = new Set<string>();
    while (this.text[this.at] !== "}") {
      if (keys.size > 0 || this.tokens.at(-1)?.text === ",") this.separated("}");
      const offset = this.at;
      const key = this.string(path, "A key in quotes, or }, is missing");
      const inside = path ? `${path}.${key}` : key;
      if (keys.has(key)) this.fault(offset, inside, "The key stands here twice");
      keys.add(key);
      this.blanks();
      this.expect(":", "A : is missing after the key");
      this.blanks();
      this.value(inside, depth + 1);
      this.blanks();
    }
    this.push(this.at + 1);
  }

  private array(path: string, depth: number): void {
    this.expect("[", "An array begins with [");
    this.blanks();
    let index = 0;
    while (this.text[this.at] !== "]") {
      if (index > 0) this.separated("]");
      this.value(path ? `${path}.${index}` : String(index), depth + 1);
      index++;
      this.blanks();
    }
    this.push(this.at + 1);
  }

  private separated(end: string): void {
    this.expect(",", `A , or ${end} is missing`);
    this.blanks();
    if (this.text[this.at] === end) throw new SyntaxFault(this.at, `No comma before ${end}`);
  }

  private string(path: string, missing = "A value is missing"): string {
    const start = this.at;
    if (this.text[start] !== '"') throw new SyntaxFault(start, missing);
    let end = start + 1;
    while (end < this.text.length && this.text[end] !== '"') {
      if (this.text.charCodeAt(end) < 0x20) throw new SyntaxFault(end, "A control character in a string is written \\u00…");
      end += this.text[end] === "\\" ? 2 : 1;
    }
    if (end >= this.text.length) throw new SyntaxFault(start, "The string has no end");
    const text = this.push(end + 1);
    let value: string;
    try {
      value = JSON.parse(text) as string;
    } catch {
      throw new SyntaxFault(start, "The string has a wrong escape");
    }
    if (LONE_SURROGATE.test(value)) this.fault(start, path, "A lone surrogate is refused");
    return value;
  }

  private scalar(path: string): void {
    for (const pattern of [WORD, NUMBER]) {
      pattern.lastIndex = this.at;
      const found = pattern.exec(this.text);
      if (!found) continue;
      const offset = this.at;
      const text = this.push(this.at + found[0].length);
      if (/[\w.+-]/.test(this.text[this.at] ?? "")) throw new SyntaxFault(offset, "This is no value");
      if (pattern === NUMBER) this.number(offset, path, text);
      return;
    }
    throw new SyntaxFault(this.at, this.at < this.text.length ? "This is no value" : "A value is missing");
  }

  private number(offset: number, path: string, text: string): void {
    if (/^-?\d+$/.test(text)) {
      const value = BigInt(text);
      if (value > LARGEST || value < SMALLEST) this.fault(offset, path, "An integer beyond 64 bits is refused");
    } else if (!Number.isFinite(Number(text))) this.fault(offset, path, "The number is not finite");
  }
}

/** The last answers of a function of a text: a view asks for the same large body several times. */
function remembered<T>(answer: (text: string) => T, most: number): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const made = answer(text);
    known.set(text, made);
    if (known.size > most) known.delete(known.keys().next().value ?? "");
    return made;
  };
}

export const scan = remembered((text: string): Scanned => {
  const scanner = new Scanner(text);
  const wellFormed = scanner.scan();
  return { tokens: scanner.tokens, faults: scanner.faults, places: scanner.places, wellFormed };
}, 3);

/** `text` with two blanks a level; the tokens stay as they are written. Null where it is no JSON. */
export const formatted = remembered((text: string): string | null => {
  const { tokens, wellFormed } = scan(text);
  if (!wellFormed) return null;
  let level = 0;
  let out = "";
  const line = (): string => `\n${"  ".repeat(level)}`;
  tokens.forEach(({ text: token }, index) => {
    const before = tokens[index - 1]?.text;
    const opened = before === "{" || before === "[";
    if (token === "}" || token === "]") {
      level--;
      out += opened ? token : line() + token;
      return;
    }
    if (opened) out += line();
    else if (before === ",") out += line();
    else if (before === ":") out += " ";
    out += token;
    if (token === "{" || token === "[") level++;
  });
  return sameTokens(text, out) ? out : null;
}, 4);

/** Whether two texts are the same JSON, token text by token text. */
export function sameTokens(one: string, other: string): boolean {
  const [a, b] = [scan(one).tokens, scan(other).tokens];
  return a.length === b.length && a.every((token, index) => token.text === b[index]?.text);
}

/** Parses what is only shown: an integer that a double cannot hold becomes its text. */
export function parseShown(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const { tokens, wellFormed } = scan(text);
  if (!wellFormed) return JSON.parse(text);
  const exact = tokens.map(({ text: token }) => (/^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${token}"` : token));
  return JSON.parse(exact.join(""));
}
