/** Axes: round figures that hold all of the chart, and no day left out. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { namesBelow, roundUp, withGaps } from "../../../daemon/http/console/model/axis.ts";
import { seeded } from "./support.ts";

test("the top of an axis is round, holds the largest figure, and is less than twice as large", () => {
  const chance = seeded(5);
  for (let round = 0; round < 5_000; round++) {
    const most = 10 ** (chance() * 14 - 7);
    const top = roundUp(most);
    assert.ok(top >= most * (1 - 1e-9) && top <= most * 2, `${top} for ${most}`);
    assert.ok(String(Number((top / 10 ** Math.floor(Math.log10(top))).toPrecision(6))).length <= 3, String(top));
  }
  assert.deepEqual([roundUp(0), roundUp(0.1 + 0.2), roundUp(26.9), roundUp(100)], [1, 0.3, 30, 100]);
});

test("days and hours without use have their place; models have none between them", () => {
  assert.deepEqual(withGaps(["2026-03-01", "2026-02-27"], "day"), ["2026-02-27", "2026-02-28", "2026-03-01"]);
  assert.deepEqual(withGaps(["2026-02-27T23", "2026-02-28T01"], "hour"), ["2026-02-27T23", "2026-02-28T00", "2026-02-28T01"]);
  assert.deepEqual(withGaps(["b", "a"], "model"), ["a", "b"]);
  assert.deepEqual(withGaps([], "day"), []);
});

test("there are no more names below than there is room for, and together they stand over all columns", () => {
  const names = Array.from({ length: 30 }, (_, at) => `day ${at}`);
  const below = namesBelow(names, 8);
  assert.ok(below.length <= 8);
  assert.equal(below.reduce((sum, { over }) => sum + over, 0), 30);
  assert.deepEqual(namesBelow(["a", "b"], 8), [{ name: "a", over: 1 }, { name: "b", over: 1 }]);
});
