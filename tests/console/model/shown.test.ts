import assert from "node:assert/strict";
import { test } from "node:test";
import { changedLines, lineDifference } from "../../../daemon/http/console/model/json/difference.ts";
import { measured } from "../../../daemon/http/console/model/measures.ts";
import { micros, share, usd } from "../../../daemon/http/console/model/money.ts";
import { hasEnded, newer, pace, progressOf } from "../../../daemon/http/console/model/progress.ts";
import { EVERYTHING, NOTHING, isSelected, ranged, selectedCount, toggled } from "../../../daemon/http/console/model/lists/selection.ts";
import { count, cut, httpsUrl, visible, visibleLines } from "../../../daemon/http/console/model/text.ts";
import { age, clock, duration, instantOf, lastDay } from "../../../daemon/http/console/model/time.ts";
import { windowOf } from "../../../daemon/http/console/model/lists/window.ts";
import { endOf } from "../../../daemon/http/console/model/written_time.ts";
import { pick, seeded } from "./support.ts";

test("control characters show as their pictures, deceiving ones by their number", () => {
  assert.equal(visible("a\u0000b\u001b[31m\u007f"), "a\u2400b\u241b[31m\u2421");
  assert.equal(visible("\u202eabc\u2066"), "⟨U+202E⟩abc⟨U+2066⟩");
  assert.equal(visible("\ud800"), "⟨U+D800⟩");
  assert.equal(visible("📦 ключ"), "📦 ключ");
  assert.equal(visibleLines("a\n\tb\r"), "a\n\tb\u240d");
});

test("only https addresses become links", () => {
  assert.equal(httpsUrl("https://example.org/a"), "https://example.org/a");
  for (const bad of ["javascript:alert(1)", "http://example.org", "data:text/html,x", "//example.org", "", null]) assert.equal(httpsUrl(bad), null);
});

test("a long value is cut with its length", () => {
  assert.equal(cut("abcdef", 3), "abc… (6 characters)");
});

test("a missing cost is no price, never $0", () => {
  assert.equal(usd(null), "no price");
  assert.equal(usd("0.000000"), "$0.00");
  assert.equal(usd("1204.110000"), "$1,204.11");
  assert.equal(usd("0.420100"), "$0.4201");
  assert.equal(micros("1.5"), 1_500_000n);
  assert.equal(share(1n, 0n), "–");
});

test("times: the clock today, a date with it on other days, in either zone", () => {
  const now = Date.parse("2026-11-28T12:00:00Z");
  assert.equal(clock("2026-11-28T09:12:01Z", "utc", now), "09:12:01");
  assert.equal(clock("2026-11-27T22:40:00+02:00", "utc", now), "27 Nov 20:40:00");
  assert.equal(clock("2025-01-02T03:04:05Z", "utc", now), "2 Jan 2025 03:04:05");
  assert.equal(age("2026-11-28T11:59:20Z", now), "40 s ago");
  assert.equal(duration(79 * 60), "1 h 19 min");
});

test("a window that ends with a day is told by that day, not by the one after", () => {
  assert.equal(lastDay("2026-11-30T00:00:00.000000Z"), "2026-11-29");
  assert.equal(lastDay("2026-11-29T17:31:00Z"), "2026-11-29");
  assert.equal(lastDay("soon"), "soon");
});

test("relative times become absolute, and what is no time is none", () => {
  assert.equal(instantOf("24h", 86_400_000), "1970-01-01T00:00:00.000Z");
  assert.equal(instantOf("2026-11-28", 0), "2026-11-28T00:00:00Z");
  for (const bad of ["yesterday", "24", "2026-11-28T10:00:00", ""]) assert.equal(instantOf(bad, 0), null);
});

test("all that match is a filter with exceptions, whatever is loaded", () => {
  const without = toggled(EVERYTHING, "a");
  assert.equal(isSelected(without, "a"), false);
  assert.equal(isSelected(without, "never loaded"), true);
  assert.equal(selectedCount(without, 2_310), 2_309);
  assert.equal(selectedCount(without, null), null);
});

test("a range takes the state of its end, in either direction", () => {
  const order = ["a", "b", "c", "d", "e"];
  const chance = seeded(5);
  for (let round = 0; round < 500; round++) {
    const [from, to] = [pick(chance, order), pick(chance, order)];
    const before = pick(chance, [NOTHING, EVERYTHING, toggled(NOTHING, "b")]);
    const after = ranged(before, order, from, to);
    const [low, high] = [order.indexOf(from), order.indexOf(to)].sort((x, y) => x - y) as [number, number];
    order.forEach((key, at) => {
      const expected = at >= low && at <= high ? !isSelected(before, to) : isSelected(before, key);
      assert.equal(isSelected(after, key), expected);
    });
  }
});

test("progress adds up over several runs, and the newest version wins whichever way it came", () => {
  const one = { run_id: "1", status: "running", requested: 10, replayed: 4, skipped: 1, still_failed: 1, version: 3 };
  const two = { run_id: "2", status: "succeeded", requested: 5, replayed: 5, skipped: 0, still_failed: 0, version: 9 };
  const progress = progressOf([one, two]);
  assert.deepEqual([progress.sent, progress.requested, progress.waiting, progress.ended], [11, 15, 4, false]);
  assert.equal(newer(one, { ...one, version: 2, replayed: 0 }), one);
  assert.equal(hasEnded("aborted"), true);
  assert.deepEqual(pace([{ at: 0, sent: 0 }, { at: 2_000, sent: 100 }], 50), { perSecond: 50, seconds: 1 });
  assert.equal(pace([{ at: 0, sent: 5 }], 50), null);
});

test("what a run that was cut short left behind was never sent", () => {
  const counts = { run_id: "1", requested: 242, replayed: 1, skipped: 232, still_failed: 9 };
  const sent = (status: string): readonly number[] => {
    const progress = progressOf([{ ...counts, status }]);
    return [progress.sent, progress.skipped, progress.waiting];
  };
  assert.deepEqual(sent("aborted"), [10, 232, 0]);
  assert.deepEqual(sent("failed"), [10, 232, 0]);
  assert.deepEqual(sent("succeeded"), [242, 232, 0]);
});

test("a figure whose name ends in its unit is told in words of people", () => {
  assert.deepEqual(measured("threshold_s", 3600), { name: "threshold", figure: "1 h" });
  assert.deepEqual(measured("duration_ms", 8.044), { name: "duration", figure: "8 ms" });
  assert.deepEqual(measured("cost_usd_micros", 1086), { name: "cost", figure: "$0.001086" });
  assert.deepEqual(measured("cost_usd_micros", 12_000_000), { name: "cost", figure: "$12.00" });
  for (const [name, value] of [["requests", 3], ["until_ms", "soon"], ["threshold_s", null]] as const) assert.equal(measured(name, value), null);
});

test("a difference leads from one text to the other", () => {
  const chance = seeded(6);
  for (let round = 0; round < 500; round++) {
    const lines = (): string => Array.from({ length: Math.floor(chance() * 8) }, () => pick(chance, ["a", "b", "c"])).join("\n");
    const [was, now] = [lines(), lines()];
    const found = lineDifference(was, now);
    assert.equal(found.filter((line) => line.change !== "added").map((line) => line.text).join("\n"), was);
    assert.equal(found.filter((line) => line.change !== "removed").map((line) => line.text).join("\n"), now);
  }
  const long = Array.from({ length: 40_000 }, (_, at) => `line ${at}`);
  const edited = long.map((line, at) => (at === 3 || at === 39_990 ? `${line}!` : line));
  assert.equal(changedLines(long.join("\n"), edited.join("\n")), 2);
  assert.equal(changedLines("", long.join("\n")), 40_000);
  assert.equal(changedLines("a\nb\nc", "a\nx\nc"), 1);
});

test("numbers are grouped by thousands", () => {
  const chance = seeded(9);
  for (let round = 0; round < 2_000; round++) {
    const number = Math.round((chance() - 0.5) * 10 ** Math.floor(chance() * 15)) / pick(chance, [1, 1, 10, 1_000]);
    if (number !== 0) assert.equal(count(number), number.toLocaleString("en"));
  }
  assert.equal(count(0), "0");
});

test("of a long list 35 to 60 rows stand in the document, at its ends too, and all that are in sight", () => {
  const chance = seeded(11);
  for (let round = 0; round < 2_000; round++) {
    const rows = Math.floor(chance() * 10 ** (1 + chance() * 5));
    const seen = 5 + Math.floor(chance() * 40);
    const first = Math.floor(chance() * Math.max(1, rows - seen));
    const [from, to] = windowOf(first, seen, rows);
    assert.ok(from >= 0 && from <= first && to >= Math.min(rows, first + seen), `${first} ${seen} ${rows}`);
    assert.ok(to <= rows && (to - from === rows || (to - from >= 35 && to - from <= 60)), `${from} ${to}`);
  }
  assert.deepEqual(windowOf(0, 17, 0), [0, 0]);
});

test("a time is read as it is shown, and its end is the last that it may mean", () => {
  const now = Date.parse("2026-11-29T10:00:00Z");
  const ends: Record<string, string> = {
    "09:12": "2026-11-29T09:13:00.000Z",
    "9:12:01": "2026-11-29T09:12:02.000Z",
    "10:00": "2026-11-29T10:01:00.000Z",
    "22:40": "2026-11-28T22:41:00.000Z",
    "28 Nov": "2026-11-29T00:00:00.000Z",
    "28 Nov 09:12:01": "2026-11-28T09:12:02.000Z",
    "30 Dec 23:59": "2025-12-31T00:00:00.000Z",
    "2 Jan 2025 03:04:05": "2025-01-02T03:04:06.000Z",
    "2026-11-28": "2026-11-29T00:00:00.000Z",
    " 2026-11-28 09:12 ": "2026-11-28T09:13:00.000Z",
    "2026-11-28T09:12:01": "2026-11-28T09:12:02.000Z",
    "2026-11-28T09:12:01.123456+02:00": "2026-11-28T07:12:01.124Z",
    "24h": "2026-11-28T10:00:00.001Z",
  };
  for (const [text, end] of Object.entries(ends)) assert.equal(endOf(text, "utc", now), end, text);
  for (const bad of ["", " ", "yesterday", "25:00", "09:60", "31 Feb", "0 Nov", "1 Foo", "2026-13-01", "2026-02-30", "9"]) assert.equal(endOf(bad, "utc", now), null, bad);

  const chance = seeded(12);
  for (const zone of ["utc", "local"] as const)
    for (let round = 0; round < 1_000; round++) {
      const at = now - Math.floor(chance() * 400 * 86_400_000);
      const shown = clock(new Date(at).toISOString(), zone, now);
      const end = Date.parse(endOf(shown, zone, now) ?? "");
      // An hour that a zone has twice is shown alike both times.
      assert.equal(clock(new Date(end - 1_000).toISOString(), zone, now), shown);
    }
});
