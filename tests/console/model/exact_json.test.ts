import assert from "node:assert/strict";
import { test } from "node:test";
import { placesOf, scan, scanInParts } from "../../../daemon/http/console/model/json/exact_json.ts";
import { formatted, parseShown, sameTokens } from "../../../daemon/http/console/model/json/json_tokens.ts";
import { dotted, faultsOf, lineOf, linesOf } from "../../../daemon/http/console/model/json/schema_paths.ts";
import { NAUGHTY, pick, seeded } from "./support.ts";

const NUMBERS = ["0", "-0", "1", "1.0", "1e5", "1E+05", "9007199254740993", "18446744073709551615", "-9223372036854775808", "0.1000", "1.7976931348623157e308"];

/** A JSON text of chance, with blanks, spellings and numbers that a round trip would lose. */
function anyJson(chance: () => number, depth = 0): string {
  const blank = (): string => pick(chance, ["", "", " ", "\n", "\t ", "\r\n"]);
  const text = (): string => pick(chance, ['"a"', '"\\u0061"', '"\\/"', '"é"', '"\\ud83d\\udce6"', ...NAUGHTY.map((each) => JSON.stringify(each))]);
  const kind = depth > 4 ? chance() * 0.6 : chance();
  if (kind < 0.25) return pick(chance, NUMBERS);
  if (kind < 0.5) return text();
  if (kind < 0.6) return pick(chance, ["true", "false", "null"]);
  const count = Math.floor(chance() * 4);
  const items = Array.from({ length: count }, (_, at) => {
    const value = anyJson(chance, depth + 1);
    return kind < 0.8 ? `${blank()}${value}${blank()}` : `${blank()}"k${at}"${blank()}:${blank()}${value}${blank()}`;
  });
  return kind < 0.8 ? `[${items.join(",") || blank()}]` : `{${items.join(",") || blank()}}`;
}

test("formatting changes blanks alone", () => {
  const chance = seeded(3);
  for (let round = 0; round < 3_000; round++) {
    const text = anyJson(chance);
    const out = formatted(text);
    assert.ok(out !== null, text);
    assert.ok(sameTokens(text, out), text);
    assert.deepEqual(JSON.parse(out), JSON.parse(text));
    assert.equal(formatted(out), out);
  }
});

test("well formed is what JSON.parse takes, whatever is broken in it", () => {
  const chance = seeded(4);
  for (let round = 0; round < 5_000; round++) {
    const text = anyJson(chance);
    const at = Math.floor(chance() * (text.length + 1));
    const broken = text.slice(0, at) + pick(chance, ["", ",", "}", "]", '"', "0", "e", "\\", ":", " ", "\u0001"]) + text.slice(at + (chance() < 0.5 ? 1 : 0));
    let parses = true;
    try {
      JSON.parse(broken);
    } catch {
      parses = false;
    }
    assert.equal(scan(broken).wellFormed, parses, JSON.stringify(broken));
  }
});

test("numbers keep their text", () => {
  const text = '{"a":9007199254740993,"b":1.0,"c":1E+05}';
  assert.equal(formatted(text), '{\n  "a": 9007199254740993,\n  "b": 1.0,\n  "c": 1E+05\n}');
});

test("what the gate refuses beyond syntax is a fault with its place", () => {
  const faults = (text: string): string[] => scan(text).faults.map((fault) => `${fault.path}@${fault.offset} ${fault.message}`);
  assert.deepEqual(faults('{"a":1,"a":2}'), ["a@7 The key stands here twice"]);
  assert.deepEqual(faults('[18446744073709551616]'), ["0@1 An integer beyond 64 bits is refused"]);
  assert.deepEqual(faults('{"x":{"y":1e999}}'), ["x.y@10 The number is not finite"]);
  assert.deepEqual(faults('{"t":"\\ud800"}'), ["t@5 A lone surrogate is refused"]);
  assert.deepEqual(faults("\ufeff{}"), ["@0 A byte order mark is refused"]);
  assert.equal(scan("[".repeat(201) + "]".repeat(201)).wellFormed, false);
  assert.equal(scan("[".repeat(200) + "]".repeat(200)).wellFormed, true);
});

test("a double key in another spelling is the same key", () => {
  assert.equal(scan('{"a":1,"\\u0061":2}').faults.length, 1);
});

test("places lead from a dotted path to the text, and from what is missing to what it is missing from", () => {
  const text = '{\n  "payload": {\n    "items": [1, {"x": 2}]\n  },\n  "a.b": 3\n}';
  const [two, payload, items, dot, root] = placesOf(text, ["payload.items.1.x", "payload.status", "payload.items", "a.b", "unknown.x"]);
  assert.deepEqual([two, payload, items, dot, root].map((at) => text[at ?? -1]), ["2", "{", "[", "3", "{"]);
  assert.equal(root, 0);
  assert.equal(lineOf(text, items ?? 0), 3);
  assert.deepEqual(linesOf(text, [dot ?? 0, items ?? 0, 0]), [5, 3, 1]);
});

test("a scan in parts says what a scan in one says, and can be stopped", async () => {
  const chance = seeded(7);
  for (let round = 0; round < 300; round++) {
    const values = Array.from({ length: 1_500 }, () => anyJson(chance, 4));
    const text = `[${values.join(",")}${pick(chance, ["]", ",]", "", "]]"])}`;
    let parts = 0;
    const found = await scanInParts(text, () => true, async () => (parts++, true));
    assert.ok(parts > 0);
    assert.deepEqual([found?.wellFormed, found?.faults], [scan(text).wellFormed, scan(text).faults]);
    assert.equal(await scanInParts(text, () => true, async () => false), null);
  }
});

test("texts that differ in more than blanks are not the same", () => {
  const chance = seeded(8);
  for (let round = 0; round < 3_000; round++) {
    const text = anyJson(chance);
    const at = Math.floor(chance() * text.length);
    const other = text.slice(0, at) + pick(chance, ["1", "x", '"', "\\", "{"]) + text.slice(at);
    assert.equal(sameTokens(text, other), false, `${text} ${other}`);
  }
  assert.equal(sameTokens("[12]", "[1 2]"), false);
  assert.equal(sameTokens('["a b"]', '["ab"]'), false);
});

test("violations of a schema become faults at their line, the wrappers around them do not", () => {
  const text = '{"payload":{"status":"fine"}}';
  const faults = faultsOf(
    [
      { keyword: "properties", instanceLocation: "#", error: 'Property "payload" does not match schema.' },
      { keyword: "enum", instanceLocation: "#/payload/status", error: "Instance does not match any of [...]." },
    ],
    text,
  );
  assert.deepEqual(faults, [{ offset: 21, path: "payload.status", message: "Instance does not match any of [...]" }]);
  assert.equal(dotted("#/payload/a~1b"), "payload.a/b");
});

test("of a choice that a value meets by its type, the others are not held against it", () => {
  const text = '{"payload":{"input_tokens":-1,"at":7}}';
  const [tokens, at] = ["#/payload/input_tokens", "#/payload/at"];
  const faults = faultsOf(
    [
      { keyword: "anyOf", instanceLocation: tokens, error: "Instance does not match any subschemas." },
      { keyword: "minimum", instanceLocation: tokens, error: "-1 is less than 0." },
      { keyword: "type", instanceLocation: tokens, error: 'Instance type "number" is invalid. Expected "null".' },
      { keyword: "anyOf", instanceLocation: at, error: "Instance does not match any subschemas." },
      { keyword: "type", instanceLocation: at, error: 'Instance type "number" is invalid. Expected "string".' },
      { keyword: "type", instanceLocation: at, error: 'Instance type "number" is invalid. Expected "null".' },
    ],
    text,
  );
  assert.deepEqual(
    faults.map(({ path, message }) => `${path} ${message}`),
    [
      "payload.input_tokens -1 is less than 0",
      "payload.at Instance does not match any subschemas",
      'payload.at Instance type "number" is invalid. Expected "string"',
      'payload.at Instance type "number" is invalid. Expected "null"',
    ],
  );
});

test("what is shown keeps integers that a double cannot hold", () => {
  assert.deepEqual(parseShown('{"a":9007199254740993,"b":3}'), { a: "9007199254740993", b: 3 });
  assert.deepEqual(parseShown('["\\"9007199254740993", -9007199254740993 ,1.9007199254740993,9007199254740991]'), ['"9007199254740993', "-9007199254740993", 1.9007199254740993, 9007199254740991]);
});

test("a large body is scanned in one go", () => {
  const text = JSON.stringify(Array.from({ length: 20_000 }, (_, at) => ({ at, text: "x".repeat(5) })));
  assert.equal(scan(text).faults.length, 0);
});
